"""`parley sip` against a real LiveKit server, which keeps trunks and rules in Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit import api

from stack.ports import free_port
from tests.livekit_bus import RefusedError
from tests.sip_bridge import SipBridge
from tests.sip_stack import KEY, SECRET, SipServer, livekit, livekit_with_sip, sip

NUMBER, CALLER = "+49301234567", "+4930765"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SipServer]:
    with livekit_with_sip(tmp_path_factory.mktemp("sip")) as server:
        yield server


@pytest.fixture
def with_sip(server: SipServer) -> str:
    return server.url


def listed(url: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(sip(url, "list", "--json").stdout)
    return found


def test_numbers_are_let_in_listed_replaced_and_removed(with_sip: str) -> None:
    first = sip(with_sip, "inbound", "+49301234567", "--allow", "203.0.113.0/24")
    assert first.returncode == 0, first.stderr
    again = sip(
        with_sip,
        *("inbound", "+49301234567", "+49301234568", "--username", "desk"),
        *("--flow", "reception", "--agent", "parley"),
        SIP_AUTH_PASSWORD="never-shown",
    )
    assert again.returncode == 0, again.stderr
    shown = sip(with_sip, "list", "--json").stdout
    assert "never-shown" not in shown
    found = json.loads(shown)
    (trunk,) = found["inbound"]
    (rule,) = found["rule"]
    assert trunk["numbers"] == ["+49301234567", "+49301234568"]
    assert rule["trunkIds"] == [trunk["sipTrunkId"]]
    agents = rule["roomConfig"]["agents"]
    assert agents == [{"agentName": "parley", "metadata": '{"flow_id": "reception"}'}]
    gone = sip(with_sip, "remove", str(trunk["sipTrunkId"]), str(rule["sipDispatchRuleId"]))
    assert gone.returncode == 0, gone.stderr
    assert listed(with_sip) == {"inbound": [], "outbound": [], "rule": []}


def test_calls_go_out_through_a_trunk(with_sip: str) -> None:
    made = sip(with_sip, "outbound", "sip.example.org", "+49301234567")
    assert made.returncode == 0, made.stderr
    (trunk,) = listed(with_sip)["outbound"]
    assert trunk["address"] == "sip.example.org"
    # No livekit-sip serves the call: it fails in words, and its room is gone.
    failed = sip(with_sip, "call", "+4930765", "--trunk", str(trunk["sipTrunkId"]), "--ring-s", "1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("parley sip: LiveKit at")
    assert "Traceback" not in failed.stderr
    assert sip(with_sip, "remove", str(trunk["sipTrunkId"])).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inbound", "+49301234567"), "--allow"),
        (("inbound", "desk", "--allow", "203.0.113.1"), "'desk' is not a telephone number"),
        (("inbound", "+49301234567", "--username", "x"), "SIP_AUTH_PASSWORD"),
        (("remove", "ST_nothing"), "no trunk or rule ST_nothing"),
    ],
)
def test_what_is_wrong_is_said(with_sip: str, arguments: tuple[str, ...], said: str) -> None:
    refused = sip(with_sip, *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_server_without_sip_and_one_that_is_not_there(tmp_path: Path) -> None:
    with livekit(tmp_path, None) as url:
        refused = sip(url, "list")
    assert refused.returncode == 1
    assert "needs Redis" in refused.stderr
    nobody = sip(f"ws://127.0.0.1:{free_port()}", "list")
    assert nobody.returncode == 1
    assert "cannot be reached" in nobody.stderr


def made_by(said: str) -> list[str]:
    """The ids that `parley sip` has said."""
    return [word.strip(",.") for word in said.split() if word.startswith(("ST_", "SDR_"))]


async def test_only_the_provider_is_let_in(server: SipServer) -> None:
    made = sip(server.url, "inbound", NUMBER, "--allow", "127.0.0.0/8", "--flow", "reception")
    try:
        async with SipBridge.open(server.redis_port) as bridge:
            first = await bridge.invited(NUMBER, CALLER, "127.0.0.1")
            second = await bridge.invited(NUMBER, CALLER, "127.0.0.2")
            with pytest.raises(RefusedError):
                await bridge.invited(NUMBER, CALLER, "203.0.113.9")
            with pytest.raises(RefusedError):
                await bridge.invited("+49309999999", CALLER, "127.0.0.1")
            assert await bridge.credentials(NUMBER, CALLER, "127.0.0.1") == ("", "")
    finally:
        sip(server.url, "remove", *made_by(made.stdout))
    assert first.room != second.room
    assert first.room.startswith("phone-")
    assert first.config is not None
    assert json.loads(first.config.metadata) == {"flow_id": "reception"}
    assert first.attributes["sip.phoneNumber"] == CALLER


async def test_the_password_is_the_one_that_was_given(server: SipServer) -> None:
    made = sip(
        server.url,
        *("inbound", NUMBER, "--username", "desk", "--agent", "parley"),
        SIP_AUTH_PASSWORD="a secret",
    )
    try:
        async with SipBridge.open(server.redis_port) as bridge:
            assert await bridge.credentials(NUMBER, CALLER, "203.0.113.9") == ("desk", "a secret")
            dispatch = await bridge.invited(NUMBER, CALLER, "203.0.113.9")
    finally:
        sip(server.url, "remove", *made_by(made.stdout))
    assert dispatch.config is not None
    assert [agent.agent_name for agent in dispatch.config.agents] == ["parley"]


@pytest.mark.parametrize("answered", [True, False])
async def test_a_call_goes_out_and_is_answered_or_not(server: SipServer, answered: bool) -> None:
    made = sip(
        server.url,
        *("outbound", "sip.example.org", NUMBER, "--username", "desk"),
        SIP_AUTH_PASSWORD="a secret",
    )
    (trunk,) = made_by(made.stdout)
    try:
        async with SipBridge.open(server.redis_port) as bridge, asyncio.timeout(60):
            arguments = ("call", CALLER, "--trunk", trunk, "--ring-s", "20", "--flow", "reminder")
            calling = asyncio.create_task(asyncio.to_thread(sip, server.url, *arguments))
            dialling = await bridge.dialled.get()
            async with api.LiveKitAPI(server.url, KEY, SECRET) as livekit_api:
                rooms = await livekit_api.room.list_rooms(api.ListRoomsRequest())
                (room,) = [room for room in rooms.rooms if room.name == dialling.dispatch.room]
                if answered:
                    dialling.outcome.set_result(None)
                else:
                    dialling.outcome.set_exception(RefusedError("unavailable", "486 Busy Here"))
                done = await calling
                rooms = await livekit_api.room.list_rooms(api.ListRoomsRequest())
                left = [room.name for room in rooms.rooms]
                if answered:
                    await livekit_api.room.delete_room(api.DeleteRoomRequest(room=room.name))
    finally:
        sip(server.url, "remove", trunk)
    request = dialling.request
    assert (request.address, request.number) == ("sip.example.org", NUMBER)
    assert (request.username, request.password) == ("desk", "a secret")
    assert (request.call_to, request.ringing_timeout.seconds) == (CALLER, 20)
    assert json.loads(room.metadata) == {"flow_id": "reminder"}
    assert (done.returncode == 0) is answered, done.stderr
    assert (room.name in left) is answered
    assert room.name in done.stdout if answered else "486 Busy Here" in done.stderr
