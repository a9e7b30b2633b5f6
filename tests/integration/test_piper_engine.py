"""The engine with the wheel's real voice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from protocol.errors import SpeechError
from speech.piper import PiperEngine, PiperVoice, find_voice
from speech.piper.graph import DURATION_NOISE, PRIOR_NOISE, with_noise_inputs
from speech.piper.utterance import Utterance

TEXTS = [
    "Yes.",
    "The quick brown fox jumps over the lazy dog near the river.",
    "Well, of the 2,100 people I met in the city, the doctor was the kindest; he spoke of the war!",
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("piper")


@pytest.fixture(scope="module")
def engine(cache_dir: Path) -> Iterator[PiperEngine]:
    engine = PiperEngine(threads=2, cache_dir=cache_dir)
    yield engine
    asyncio.run(engine.aclose())


@pytest.fixture(scope="module")
def undivided() -> onnxruntime.InferenceSession:
    path = find_voice()
    model = with_noise_inputs(onnx.load(str(path)))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _whole(
    voice: PiperVoice, session: onnxruntime.InferenceSession, ids: list[int], seed: int
) -> np.ndarray:
    random = np.random.default_rng(seed)
    frames = Utterance(voice.models, ids, np.random.default_rng(seed))
    frames.prepare()
    channels = frames._levels[0].data.shape[1]  # type: ignore[union-attr]
    models = voice.models
    feed = {
        "input": np.array([ids], np.int64),
        "input_lengths": np.array([len(ids)], np.int64),
        "scales": np.array(
            [models.noise_scale, models.length_scale, models.noise_w_scale], np.float32
        ),
        DURATION_NOISE: random.standard_normal((1, 2, len(ids)), np.float32),
    }
    prior = random.standard_normal((frames.frames, channels), np.float32)
    feed[PRIOR_NOISE] = np.ascontiguousarray(prior.T[None])
    audio: np.ndarray = session.run(None, feed)[0].ravel()
    return audio


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("sizes", [(1,), (5, 16, 33), (200,)])
def test_pieces_equal_the_whole_decode(
    engine: PiperEngine,
    undivided: onnxruntime.InferenceSession,
    text: str,
    sizes: tuple[int, ...],
) -> None:
    voice = engine.load()
    ids, _ = voice.ids([part for sentence in voice.phonemize(text) for part in sentence])
    utterance = Utterance(voice.models, ids, np.random.default_rng(7))
    utterance.prepare()
    pieces = []
    while utterance.done < utterance.frames:
        pieces.append(utterance.decode(utterance.done + sizes[len(pieces) % len(sizes)]))
    whole = _whole(voice, undivided, ids, 7)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4, rtol=0)


async def test_words_cover_the_text_in_order(engine: PiperEngine) -> None:
    text = "Hi there, Bob! How are you? I paid 2,100 of the coins - all of them."
    chunks = [chunk async for chunk in engine.stream(text)]
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.text for word in words] == [part for part in text.split() if part != "-"]
    assert all(text[word.start_char : word.end_char] == word.text for word in words)
    assert all(a.start_s <= a.end_s <= b.start_s + 1e-9 for a, b in pairwise(words))
    assert words[-1].end_s <= sum(chunk.duration_s for chunk in chunks)
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_nothing_to_say_gives_nothing(engine: PiperEngine) -> None:
    assert [chunk async for chunk in engine.stream(" \n… ")] == []


async def test_closing_frees_the_thread(engine: PiperEngine) -> None:
    async with aclosing(engine.stream("A sentence that goes on and on. " * 200)) as stream:
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert (await engine.synthesize("Next.")).samples.size > 0


async def test_a_closed_engine_refuses(cache_dir: Path) -> None:
    engine = PiperEngine(threads=1, cache_dir=cache_dir)
    await engine.ready()
    await engine.aclose()
    with pytest.raises(SpeechError, match="closed"):
        await engine.synthesize("Hello.")
