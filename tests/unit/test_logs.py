"""What a log line looks like, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

from protocol.logs import JsonLines, TextLines, about

ROOT = Path(__file__).parents[2]


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("parley.test", logging.WARNING, "f.py", 1, message, args, None)
    made.__dict__.update(extra)
    return made


def test_json_lines_hold_the_ids_and_no_extra_fields() -> None:
    async def call() -> str:
        about(room="r1")
        return await asyncio.create_task(turn())

    async def turn() -> str:
        about(turn="t1")
        return JsonLines().format(record("%d ms", 5, transcript="what was said"))

    line = asyncio.run(call())
    row = json.loads(line)
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "level": "WARNING",
        "logger": "parley.test",
        "message": "5 ms",
        "room": "r1",
        "turn": "t1",
    }


def test_no_ticket_is_shown_wherever_it_stands() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYWxsZXIifQ.c2lnbmF0dXJl-_x"
    try:
        raise ValueError(f"refused: {token}")
    except ValueError:
        failed = record("%s, and %s", token, f"ws://host/rtc?access_token={token}&x=1")
        failed.exc_info = sys.exc_info()
    for form in (TextLines(), JsonLines()):
        shown = form.format(failed)
        assert shown.count("<token>") == 3
        assert not any(part in shown for part in token.split("."))
    assert "1.2.3" in TextLines().format(record("version 1.2.3"))


NATIVE = """
import logging
from protocol import logs

logs.set_up("INFO", "text")
native = logging.getLogger("livekit")
native.error("rtc_session - publisher data channel '_data_track' closed unexpectedly")
native.error("rtc_session - the connection is lost")
"""


def test_what_the_native_library_says_of_every_call_is_left_out() -> None:
    said = subprocess.run(
        [sys.executable, "-c", NATIVE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = said.stderr.splitlines()
    assert line.endswith("ERROR livekit: rtc_session - the connection is lost")


def test_ids_stay_with_their_task() -> None:
    async def two() -> list[str]:
        async def one(room: str) -> str:
            about(room=room)
            await asyncio.sleep(0)
            return TextLines().format(record("here"))

        return list(await asyncio.gather(one("a"), one("b")))

    first, second = asyncio.run(two())
    assert first.endswith("parley.test: here [room=a]")
    assert second.endswith("parley.test: here [room=b]")


def test_a_message_cannot_fake_a_second_line() -> None:
    hostile = "x\r\n2026-01-01 00:00:00,000 INFO root: all is well"
    assert "\n" not in TextLines().format(record("name %s", hostile))
    assert "\n" not in JsonLines().format(record("name %s", hostile))


def test_tracebacks_are_kept() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        made = record("failed")
        made.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: why" in json.loads(JsonLines().format(made))["error"]
    assert TextLines().format(made).rstrip().endswith("ValueError: why")
