"""The disk is full, and later has room again: nothing is corrupt, and people are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm
from livekit.agents.voice import io

from agent_worker import recording
from agent_worker.recording import CallAbout, Recording
from agent_worker.room_voice import RoomVoice
from plugins import provider_speech
from tests.fault.test_backend_killed import Process, backend
from tests.fault.test_database_fails import add_talk, local
from tests.fault.waiting import until_ready, until_unready
from tests.integration.test_heard import Metronome
from tests.room_track import RoomTrack
from tests.scripted_llm import ScriptedLLM

SIZE = 4_000_000
Fill = Callable[[Process], None]


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Fill, Fill]]:
    """A file system of its own; gives what fills it and what makes room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    filler = folder / "filler"

    def fill(_: Process) -> None:
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    try:
        yield fill, lambda _: filler.unlink()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[tuple[Fill, Fill]]:
    """No file may grow any further, and then it may: for who may not mount."""

    def limit(process: Process, most: int) -> None:
        assert process._process is not None
        _, hard = resource.prlimit(process._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process._process.pid, resource.RLIMIT_FSIZE, (most, hard))

    def fill(process: Process) -> None:
        limit(process, min(path.stat().st_size for path in folder.iterdir()))

    yield fill, lambda process: limit(process, resource.RLIM_INFINITY)


@pytest.mark.parametrize("disk", [pytest.param(small_disk, marks=pytest.mark.slow), small_files])
async def test_turns_are_refused_until_there_is_room(tmp_path: Path, disk: Any) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    script = ScriptedLLM("One two three.", piece_s=0.0)
    with disk(folder) as (fill, make_room):
        async with script.serve() as model, backend(folder, **local(model)) as process:
            await add_talk(process)
            assert (await process.turn("t1"))[-1]["type"] == "done"
            fill(process)
            # What is small may still fit; a turn that did not is told so, with all its words.
            said, number = [], 1
            ended: list[dict[str, Any]] = []
            while not ended or ended[-1]["type"] == "done":
                number += 1
                said.append(f"t{number}")
                ended = await process.turn(f"t{number}", input="go " * 300)
            assert (ended[-1]["type"], ended[-1]["code"]) == ("error", "disk_full")
            assert ended[-1]["content"] == "One two three."
            refused = await process.client.get(
                "/api/flows/f/stream/s", params={"input": "go", "turn_id": "no"}
            )
            assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
            assert int(refused.headers["retry-after"]) >= 1
            await until_unready(process.client)
            make_room(process)
            await until_ready(process.client)
            assert (await process.turn("last"))[-1]["type"] == "done"
            # The one that was not stored at first is, with the end that its reader saw.
            await process.stop(signal.SIGKILL)
            await process.start()
            assert [e async for e in process.events(said[-1], after=0)] == ended
            state = (await process.client.get("/api/flows/f/sessions/s")).json()
            turns = [e["turn_id"] for e in state["transcript"] if e["role"] == "user"]
            assert turns == ["t1", *said, "last"]
        with sqlite3.connect(folder / "parley.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


class Microphone(io.AudioInput):
    """Hears noise, for ever."""

    def __init__(self) -> None:
        super().__init__(label="microphone")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.02)
        noise = np.random.default_rng(1).integers(-9000, 9000, 480, np.int16)
        return rtc.AudioFrame(noise.tobytes(), 24_000, 1, 480)


@contextmanager
def full_device(folder: Path) -> Iterator[None]:
    """What is written goes where there is never room: for who may not mount."""

    def prepare(sound: Path, kept_days: float) -> None:
        recording._part(sound).symlink_to("/dev/full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "_prepare", prepare)
        yield


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Room for the beginning alone."""
    with small_disk(folder) as (fill, _):
        with (folder / "room").open("wb") as file:
            file.write(bytes(8192))
        fill(None)  # type: ignore[arg-type] # needs no process
        (folder / "room").unlink()
        yield


@pytest.mark.parametrize(
    ("disk", "met"),
    [
        # A quarter of a megabyte, some twenty seconds, is written at once.
        pytest.param(full_disk, "in the call", marks=pytest.mark.slow),
        pytest.param(full_device, "in the call", marks=pytest.mark.slow),
        (full_device, "at its end"),
    ],
)
async def test_a_call_goes_on_without_its_recording(
    tmp_path: Path, disk: Any, met: str, caplog: pytest.LogCaptureFixture
) -> None:
    voice = Metronome()
    voice.may_speak.set()
    session: AgentSession[None] = AgentSession(
        tts=provider_speech.TTS(voice), tts_text_transforms=None
    )
    out = RoomVoice(RoomTrack())  # type: ignore[arg-type]
    out.start()
    session.input.audio, session.output.audio = Microphone(), out
    with disk(tmp_path):
        await session.start(Agent(instructions=""), record=False, session_host=False)
        recorded = await Recording.begin(session, tmp_path, kept_days=30)
        assert recorded is not None
        await session.say("One two three.")
        if met == "in the call":
            await recorded._recorder._close_fut
        await session.say("Four five six.")
        said = [
            item.text_content for item in session.history.items if isinstance(item, llm.ChatMessage)
        ]
        assert said == ["One two three.", "Four five six."]
        with caplog.at_level(logging.ERROR, "agent_worker"):
            await recorded.end(CallAbout("room", "caller", []))
        (line,) = [r.getMessage() for r in caplog.records if r.name == "agent_worker.recording"]
        assert "given up" in line
        left = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
        assert left - {"filler"} == set()
    await session.aclose()
    await out.aclose()
