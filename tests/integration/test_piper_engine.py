"""The engine with the wheel's real voice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

import speech.piper.engine
from protocol.errors import SpeechError
from speech.moonshine import MoonshineEngine
from speech.piper import PiperEngine, PiperVoice, find_voice
from speech.piper.engine import RUN_THREADS
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
    """The whole voice, on as many threads as the engine: sums are rounded by how work is split.

    With a thread for each of four cores the same sentence differs by 8e-5, not by 1e-5.
    """
    path = find_voice()
    model = with_noise_inputs(onnx.load(str(path)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = RUN_THREADS
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
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


async def test_a_first_chunk_goes_before_later_chunks_of_others(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread, three streams that never stop asking; then one that has no sound yet.

    The clock stands still, so no stream runs out of sound, however slow the machine.
    """
    monkeypatch.setattr(speech.piper.engine, "time", SimpleNamespace(monotonic=lambda: 0.0))
    decode, hold, held, go_on = Utterance.decode, Event(), Event(), Event()

    def decode_if_let(utterance: Utterance, upto: int) -> np.ndarray:
        if hold.is_set():
            held.set()
            go_on.wait()
        return decode(utterance, upto)

    monkeypatch.setattr(Utterance, "decode", decode_if_let)
    long = "This is a sentence that goes on for a while, and then it ends. " * 40
    heard: list[str] = []
    everyone_plays = asyncio.Event()

    async def play(engine: PiperEngine, name: str) -> None:
        async with aclosing(engine.stream(long)) as stream:
            async for _ in stream:
                heard.append(name)
                if len(set(heard)) == 3:
                    everyone_plays.set()

    async with PiperEngine(threads=1, cache_dir=cache_dir) as engine:
        await engine.ready()
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(play(engine, name)) for name in "abc"]
            await everyone_plays.wait()
            hold.set()
            await asyncio.to_thread(held.wait)
            async with aclosing(engine.stream("Here I am, too.")) as stream:
                new = group.create_task(anext(stream))
                while engine.waiting < 3:  # noqa: ASYNC110 - the queue has no event to wait for
                    await asyncio.sleep(0)
                asked = len(heard)
                go_on.set()
                await new
                assert len(heard) - asked <= 1, "only the chunk that was being made"
            for other in others:
                other.cancel()


async def test_words_are_where_they_sound(engine: PiperEngine) -> None:
    """The sound is loud within words and silent in the pauses between them."""
    for seed in range(3):
        speech = await engine.synthesize("One, two, three, four, and twenty, all.", seed=seed)
        window = speech.sample_rate_hz // 100
        sound = speech.samples[: speech.samples.size // window * window].astype(np.float32)
        level = np.sqrt((sound.reshape(-1, window) ** 2).mean(axis=1))
        loud = float(np.percentile(level, 80))
        for word, following in pairwise(speech.words):
            within = level[int(word.start_s * 100) : int(word.end_s * 100)]
            assert within.max() > loud / 2, word
            if word.text.endswith(","):
                pause = level[int(word.end_s * 100) + 3 : int(following.start_s * 100) - 1]
                assert pause.size > 3
                assert pause.max() < loud / 10, word


async def test_sound_that_ends_with_a_word_ends_with_it_for_a_listener(
    engine: PiperEngine,
) -> None:
    text = "The quick brown fox jumps over the lazy dog near the river."
    async with MoonshineEngine() as ears:
        speech = await engine.synthesize(text, seed=1, sample_rate_hz=16_000)
        sound = np.divide(speech.samples, 32_768, dtype=np.float32)
        for word in (speech.words[3], speech.words[8], speech.words[11]):
            heard = (await ears.transcribe(sound[: round((word.end_s + 0.02) * 16_000)])).text
            assert heard.strip(".").split()[-1] == word.text.strip(".")
