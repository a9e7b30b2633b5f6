"""Addresses that flows may not reach, whatever name or form stands for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flow_backend.outbound.call import HttpCall, HttpCaller
from flow_backend.outbound.guard import AddressGuard
from protocol.errors import FlowError

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
PRIVATE = [
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1",
    "192.0.0.192", "192.88.99.1", "168.63.129.16", "fec0::1", "3fff::1", "64:ff9b:1::7f00:1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:0:0:0:0:80ff:fffe", "no address",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert AddressGuard().may_reach(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_may_not_in_any_form(address: str) -> None:
    assert not AddressGuard().may_reach(address)


def test_networks_and_hosts_are_allowed_by_name() -> None:
    guard = AddressGuard(["10.1.0.0/16", "fd00::/8"])
    assert guard.may_reach("10.1.2.3")
    assert guard.may_reach("fd12::1")
    assert guard.may_reach("::ffff:10.1.2.3") is False
    assert not guard.may_reach("10.2.0.1")


class Resolver:
    """Answers differently each time it is asked, as a rebinding name server does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self._resolve)

    async def _resolve(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        return [(2, 1, 6, "", (address, port)) for address in answer]


async def refused(guard: AddressGuard, host: str, port: int = 80) -> str:
    with pytest.raises(FlowError) as caught:
        await guard.resolve(host, port)
    return caught.value.code


async def test_one_private_address_among_public_ones_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Resolver(monkeypatch, [PUBLIC[0], "10.0.0.1"])
    assert await refused(AddressGuard(), "example.org") == "http_refused"


async def test_an_allowed_host_may_be_private_on_its_port_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Resolver(monkeypatch, ["10.0.0.1"])
    guard = AddressGuard(["crm.internal:8080"])
    assert await guard.resolve("CRM.internal.", 8080) == ["10.0.0.1"]
    assert await refused(guard, "crm.internal", 80) == "http_refused"
    assert await refused(guard, "crm.internal.example.org", 8080) == "http_refused"
    assert await AddressGuard(["*"]).resolve("anything", 1) == ["10.0.0.1"]


async def test_a_name_that_answers_differently_the_second_time_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection goes to the address that was judged: a name is asked once for each one."""
    connected: list[str] = []

    async def connect_tcp(self: Any, host: str, *_: Any, **__: Any) -> Any:
        import httpcore

        connected.append(host)
        raise httpcore.ConnectError("nobody is there")

    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", connect_tcp)
    resolver = Resolver(monkeypatch, [PUBLIC[0]], ["127.0.0.1"])
    caller = HttpCaller(AddressGuard(), {})
    first = await caller.call(HttpCall(method="GET", url="http://rebound.example/"))
    assert (first.error_code, connected, resolver.asked) == ("http_failed", [PUBLIC[0]], 1)
    second = await caller.call(HttpCall(method="GET", url="http://rebound.example/"))
    assert (second.error_code, connected, resolver.asked) == ("http_refused", [PUBLIC[0]], 2)
    await caller.aclose()


async def test_a_name_without_address_is_a_failure_and_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError("no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    assert await refused(AddressGuard(), "nowhere.example") == "http_failed"
