"""`parley call`: joins a room from the terminal."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from protocol.settings import load_settings
from speech.audio import read_wav, resample, to_int16
from stack.caller import RATE_HZ, Caller, invite
from stack.parts import backend_root
from stack.settings import StackSettings
from stack.terminal import line_typed


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the command line asks for."""

    wav: Path | None = None
    text: bool = False
    record: Path | None = None
    room: str | None = None
    flow: str | None = None
    backend: str | None = None
    wait_s: float = 60.0
    """How long an answer may take, to its end."""


def call(options: CallOptions) -> None:
    """Talks with the agent until the recording is answered, the typing ends, or Ctrl-C.

    Raises:
        ParleyError: Whatever keeps it from an answer.
    """
    console = Console(highlight=False, soft_wrap=True)
    samples = read_speech(options.wav) if options.wav is not None else None
    asyncio.run(_call(options, samples, console))


async def _call(
    options: CallOptions, samples: npt.NDArray[np.int16] | None, console: Console
) -> None:
    settings = load_settings(StackSettings)
    invitation = await invite(
        backend_root(options.backend, settings),
        room=options.room,
        flow=options.flow,
        api_key=settings.parley_api_key,
    )

    def show(who: str, text: str) -> None:
        style = "cyan" if who == "you" else "green"
        console.print(Text.assemble((f"{who:<6}", style), "│ ", text))

    uses_devices = samples is None and not options.text
    with console.status("Waiting for the agent") as waiting:
        async with Caller(
            invitation, show, record=options.record, microphone=uses_devices
        ) as caller:
            waiting.stop()
            talk = asyncio.create_task(_talk(caller, options, samples, console))
            # Ctrl-C hangs up; it is the only way to end a call by microphone.
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, talk.cancel)
            await asyncio.wait({talk})
            if not talk.cancelled():
                talk.result()
    if options.record is not None and caller.recorded_s:
        console.print(f"The agent's audio is in {options.record}.")
    elif options.record is not None:
        console.print(f"The agent sent no audio: {options.record} is empty.")


async def _talk(
    caller: Caller,
    options: CallOptions,
    samples: npt.NDArray[np.int16] | None,
    console: Console,
) -> None:
    if samples is not None:
        console.print(f"Speaking {options.wav} ({len(samples) / RATE_HZ:.1f} s)")
        caller.mark()
        await caller.say(samples)
        said_at = time.monotonic()
        await caller.answered(options.wait_s)
        if caller.first_sound_at is not None and caller.first_sound_at > said_at:
            console.print(
                f"First sound {caller.first_sound_at - said_at:.2f} s after the recording's end."
            )
    elif options.text:
        console.print("Type to the agent; end with Ctrl-D.")
        await _type(caller, options.wait_s, console)
    else:
        console.print("Speak; Ctrl-C hangs up.")
        console.print(f"The call ended: {await caller.gone()}.")


async def _type(caller: Caller, wait_s: float, console: Console) -> None:
    """Sends lines and waits for their answers, until their end or that of the call."""
    gone = asyncio.create_task(caller.gone())
    typing = asyncio.create_task(line_typed())
    try:
        while True:
            await asyncio.wait({typing, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                console.print(f"The call ended: {gone.result()}.")
                return
            line = typing.result()
            if line is None:
                return
            caller.mark()
            await caller.write(line)
            await caller.answered(wait_s)
            typing = asyncio.create_task(line_typed())
    finally:
        gone.cancel()
        typing.cancel()


def read_speech(path: Path) -> npt.NDArray[np.int16]:
    """A recording as int16 [samples], mono, 48 kHz.

    Raises:
        SpeechError: `audio_invalid` or `audio_too_long`, naming the file.
    """
    wav = read_wav(path)
    return to_int16(resample(wav.samples, wav.sample_rate_hz, RATE_HZ))
