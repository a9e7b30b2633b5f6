"""Marks tests by their folder and keeps unit tests off the network."""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from protocol import leaving

# How long an example takes on a busy machine says nothing about the code.
settings.register_profile(
    "parley", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("parley")

KINDS = ("unit", "contract", "integration", "e2e", "fault")
TIME_LIMITS_S = {"integration": 60, "e2e": 240, "fault": 300}
TRIED_TWICE = ("e2e", "fault")
"""Real rooms on a busy machine fail now and then; the summary lists what needed a second try."""
ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = item.path.relative_to(ROOT).parts[0]
        if kind in KINDS:
            item.add_marker(getattr(pytest.mark, kind))
        if kind in TRIED_TWICE:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if kind in TIME_LIMITS_S and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIME_LIMITS_S[kind]))
        marker = item.get_closest_marker("timeout")
        if marker and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _in_time(item.obj, marker.args[0])
    # What fails fast goes first.
    items.sort(key=lambda item: KINDS.index(item.path.relative_to(ROOT).parts[0]))


def _in_time(test: Callable[..., Awaitable[None]], limit_s: float) -> Callable[..., Any]:
    """Ends a test in its own task: the plugin's signal ends whatever task runs, and only that."""

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(0.95 * limit_s):
            await test(*args, **kwargs)

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A second try that succeeds would hide why the first did not."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """LiveKit's library may abort a process that ends in Python's own way."""
    if STATUS in config.stash:
        leaving.leave(config.stash[STATUS])


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("unit") is None:
        return

    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a unit test opened a connection to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
