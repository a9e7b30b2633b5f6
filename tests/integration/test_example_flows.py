"""The example flows do what their scenarios say."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_backend.flows.loading import load_file
from flow_backend.flows.scenarios import load_scenarios
from flow_backend.flows.validation import validate
from stack.flow_test import run_file

EXAMPLES = Path(__file__).parents[2] / "examples" / "flows"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/flow.yaml"))


@pytest.fixture
def booking() -> Iterator[Any]:
    """The receptionist's booking server, on a free port."""
    server = runpy.run_path(str(EXAMPLES / "receptionist/booking_server.py"))["BookingServer"](0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_there_are_examples() -> None:
    assert FOLDERS == ["faq", "language_tutor", "quiz", "receptionist", "survey"]


@pytest.mark.parametrize("name", FOLDERS)
def test_an_example_is_a_valid_flow(name: str) -> None:
    assert validate(load_file(EXAMPLES / name / "flow.yaml"))[1] == []


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "receptionist"])
async def test_an_example_does_what_its_scenarios_say(name: str) -> None:
    outcomes = await run_file(load_scenarios(EXAMPLES / name / "scenarios.yaml"))
    assert {outcome.name: outcome.failures for outcome in outcomes if outcome.failures} == {}
    assert outcomes


async def test_the_receptionist_books(booking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"127.0.0.1:{booking.server_port}"
    monkeypatch.setenv("HTTP_ALLOWED_HOSTS", f"{place},127.0.0.1:9")
    file = load_scenarios(EXAMPLES / "receptionist/scenarios.yaml")
    for scenario in file.scenarios:
        scenario.variables.setdefault("booking_url", f"http://{place}")
    outcomes = await run_file(file)
    assert {outcome.name: outcome.failures for outcome in outcomes if outcome.failures} == {}
    assert booking.bookings == [{"day": "tuesday", "time": "9:30", "name": "Ana Silva"}]
