"""Characters over door D are heard in the voices that were chosen for them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from websockets.asyncio.client import connect

from flow_backend.llm.scripted import Reply
from speech.piper import voices_dir
from tests.integration import piper_variants as variants
from tests.integration.backend_server import serve_backend
from tests.integration.doors import send, socket_url

RATE_HZ = 24_000
FRAME = RATE_HZ // 20
DEEPER = 16_000 / 22_050
"""Pitch of a voice that says its samples are for so much slower playing."""


def pitch_hz(speech: npt.NDArray[np.int16]) -> float:
    """The median pitch of voiced frames, by autocorrelation."""
    samples = speech.astype(np.float64)
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    loud = frames[np.square(frames).mean(axis=1) > np.square(samples).mean() / 2]
    spectra = np.abs(np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 2 * FRAME)) ** 2
    correlation = np.fft.irfft(spectra)[:, :FRAME]
    shortest, longest = RATE_HZ // 300, RATE_HZ // 50
    lags = shortest + correlation[:, shortest:longest].argmax(axis=1)
    strength = correlation[np.arange(len(lags)), lags] / correlation[:, 0]
    return float(np.median(RATE_HZ / lags[strength > 0.4]))


async def test_each_character_is_heard_in_their_own_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    voices_dir().mkdir(parents=True)
    deeper = variants.write_voice(voices_dir(), audio={"sample_rate": 16_000, "quality": "medium"})
    characters = [
        {"id": "a", "name": "Ada", "instructions": ""},
        {"id": "b", "name": "Ben", "voice": deeper.stem, "instructions": ""},
        {"id": "c", "name": "Cleo", "instructions": ""},
    ]
    say = "I am here all day long, and I am going to stay here until the evening."
    async with (
        serve_backend([Reply(say=say, times=None)]) as backend,
        connect(socket_url(backend), proxy=None) as socket,
    ):
        await send(socket, "set_characters", characters)
        await send(socket, "user_message", {"text": "Who are you?"})
        heard: dict[str, list[npt.NDArray[np.int16]]] = defaultdict(list)
        speaking, over = "", 0
        while over < len(characters):
            frame = await socket.recv()
            if isinstance(frame, bytes):
                heard[speaking].append(np.frombuffer(frame, "<i2"))
                continue
            message = json.loads(frame)
            assert message["type"] != "error", message
            speaking = message.get("character_id", speaking)
            over += message["type"] == "audio_complete"
    ada, ben, cleo = (pitch_hz(np.concatenate(heard[name])) for name in "abc")
    assert ben / ada == pytest.approx(DEEPER, rel=0.15)
    assert cleo / ada == pytest.approx(1, rel=0.1)
