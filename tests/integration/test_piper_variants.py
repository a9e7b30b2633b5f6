"""Voices and texts that are not as they should be, and voices built otherwise."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.piper import PiperEngine
from speech.piper.engine import RUN_THREADS
from speech.piper.graph import DURATION_NOISE, PRIOR_NOISE, with_noise_inputs
from speech.piper.utterance import Utterance
from tests.integration import piper_variants as variants


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("piper")


@pytest.fixture(scope="module")
def engine(cache_dir: Path) -> Iterator[PiperEngine]:
    engine = PiperEngine(threads=2, cache_dir=cache_dir)
    yield engine
    asyncio.run(engine.aclose())


async def test_names_inside_the_graph_do_not_matter(engine: PiperEngine, tmp_path: Path) -> None:
    path = variants.write_voice(tmp_path, variants.renamed())
    assert engine.load(path).streams
    plain = await engine.synthesize("The same sound.", seed=3)
    renamed = await engine.synthesize("The same sound.", voice=path, seed=3)
    np.testing.assert_allclose(renamed.samples, plain.samples, atol=4)


async def test_speakers_sound_different_and_equal_the_whole_decode(
    engine: PiperEngine, tmp_path: Path
) -> None:
    model = variants.multi_speaker()
    path = variants.write_voice(
        tmp_path, model, num_speakers=3, speaker_id_map={"a": 0, "b": 1, "c": 2}
    )
    voice = engine.load(path)
    assert voice.streams
    assert voice.speaker_id("b") == voice.speaker_id(1) == 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = RUN_THREADS
    session = onnxruntime.InferenceSession(with_noise_inputs(model).SerializeToString(), options)
    ids, _ = voice.ids(voice.phonemize("Who is it that speaks?")[0])
    sounds = []
    for speaker in (0, 2):
        utterance = Utterance(voice.models, ids, np.random.default_rng(1), speaker=speaker)
        utterance.prepare()
        pieces = []
        while utterance.done < utterance.frames:
            pieces.append(utterance.decode(utterance.done + 20))
        random = np.random.default_rng(1)
        feed = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0.667, 1, 0.8], np.float32),
            "sid": np.array([speaker], np.int64),
            DURATION_NOISE: random.standard_normal((1, 2, len(ids)), np.float32),
        }
        prior = random.standard_normal((utterance.frames, 192), np.float32)
        feed[PRIOR_NOISE] = np.ascontiguousarray(prior.T[None])
        sounds.append(np.concatenate(pieces))
        np.testing.assert_allclose(sounds[-1], session.run(None, feed)[0].ravel(), atol=1e-4)
    assert np.abs(sounds[0] - sounds[1]).max() > 0.01
    with pytest.raises(SpeechError, match="no speaker"):
        voice.speaker_id("d")
    with pytest.raises(SpeechError, match="no speaker"):
        voice.speaker_id(3)


async def test_a_voice_that_cannot_be_split_speaks_whole_sentences(
    engine: PiperEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = variants.write_voice(tmp_path, variants.unsplittable())
    with caplog.at_level(logging.WARNING):
        chunks = [chunk async for chunk in engine.stream("It speaks all the same.", voice=path)]
        await engine.synthesize("And says so once.", voice=path)
    assert len([line for line in caplog.messages if "sentence by sentence" in line]) == 1
    words = [word.text for chunk in chunks for word in chunk.words]
    assert words == ["It", "speaks", "all", "the", "same."]
    assert sum(chunk.samples.size for chunk in chunks) > 20_000


@pytest.mark.parametrize("size", [0, 1000, 5_000_000])
def test_a_truncated_voice_is_refused(engine: PiperEngine, tmp_path: Path, size: int) -> None:
    content = variants.model().SerializeToString()[:size]
    path = variants.write_voice(tmp_path, content)
    with pytest.raises(SpeechError) as caught:
        engine.load(path)
    assert caught.value.code == "voice_invalid"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"audio": {"sample_rate": "x"}}'])
def test_settings_that_are_none_are_refused(
    engine: PiperEngine, tmp_path: Path, content: str
) -> None:
    path = variants.write_voice(tmp_path)
    settings_path = path.with_name(path.name + ".json")
    settings_path.write_text(content, encoding="utf-8")
    with pytest.raises(SpeechError) as caught:
        engine.load(path)
    assert caught.value.code == "voice_invalid"
    settings_path.unlink()
    with pytest.raises(SpeechError, match="two files"):
        engine.load(path)


async def test_a_voice_may_vanish_while_in_use(engine: PiperEngine, tmp_path: Path) -> None:
    path = variants.write_voice(tmp_path)
    assert (await engine.synthesize("Still here.", voice=path)).samples.size
    path.unlink()
    assert (await engine.synthesize("It stays in memory.", voice=path)).samples.size
    async with PiperEngine(threads=1, cache_dir=tmp_path / "other") as other:
        with pytest.raises(SpeechError) as caught:
            await other.synthesize("Gone.", voice=path)
    assert caught.value.code == "voice_not_found"


async def test_sound_that_is_not_a_number_is_an_error(engine: PiperEngine, tmp_path: Path) -> None:
    path = variants.write_voice(tmp_path, variants.silent_nan())
    with pytest.raises(SpeechError, match="not a number"):
        await engine.synthesize("Nothing comes.", voice=path)


async def test_damaged_stages_are_made_again(tmp_path: Path) -> None:
    async with PiperEngine(threads=1, cache_dir=tmp_path) as engine:
        await engine.ready()
    (folder,) = _entries(tmp_path)
    (folder / "tail.onnx").write_bytes(b"damaged")
    (folder / "flow0.onnx").unlink()
    async with PiperEngine(threads=1, cache_dir=tmp_path) as engine:
        assert (await engine.synthesize("Mended.")).samples.size
    (folder / "parts.json").write_text("{", encoding="utf-8")
    async with PiperEngine(threads=1, cache_dir=tmp_path) as engine:
        assert (await engine.synthesize("Mended again.")).samples.size
    assert _entries(tmp_path) == [folder]


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_text_of_any_length_streams_and_one_too_long_is_refused(
    engine: PiperEngine,
) -> None:
    for text in ("word " * 20_000, "x" * 100_000, "Go! " * 25_000):
        stream = engine.stream(text)
        assert (await anext(stream)).samples.size
        await stream.aclose()
    with pytest.raises(SpeechError) as caught:
        await engine.synthesize("a" * 300_000)
    assert caught.value.code == "text_too_long"


@pytest.mark.parametrize("speed", [0.0, -1.0, 9.0, float("nan"), float("inf")])
async def test_a_speed_out_of_range_is_refused(engine: PiperEngine, speed: float) -> None:
    with pytest.raises(SpeechError, match="speed"):
        await engine.synthesize("Too fast.", speed=speed)


@pytest.mark.parametrize("pause_s", [-1.0, 61.0, 1e9, float("nan")])
async def test_a_pause_out_of_range_is_refused(engine: PiperEngine, pause_s: float) -> None:
    with pytest.raises(SpeechError, match=f"pause of {pause_s} s"):
        await engine.synthesize("One. Two.", sentence_pause_s=pause_s)
    with pytest.raises(SpeechError, match=f"pause of {pause_s} s"):
        await engine.synthesize("One. Two.", paragraph_pause_s=pause_s)


@pytest.mark.parametrize("rate_hz", [0, -1, 7, 10**9])
async def test_a_rate_out_of_range_is_refused(engine: PiperEngine, rate_hz: int) -> None:
    with pytest.raises(SpeechError, match=f"sample rate of {rate_hz} Hz"):
        await engine.synthesize("Too fast.", sample_rate_hz=rate_hz)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
async def test_any_text_speaks_or_is_silent(engine: PiperEngine, text: str) -> None:
    chunks = [chunk async for chunk in engine.stream(text)]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True] * bool(chunks)
    for word in (word for chunk in chunks for word in chunk.words):
        assert text[word.start_char : word.end_char] == word.text
        assert 0 <= word.start_s <= word.end_s


ODD_TEXTS = {
    "control characters": "".join(map(chr, range(32))) + "Hi\x7f\x80 there\x00.",
    "directions": "\u202eabc\u202c \u2066x\u2069 \u200b\ufeff hello",
    "half characters": "\ud800 x \udfff",
    "private characters": "\ue000 \U000f0000 \uffff",
    "old scripts": "\U00012000\U00012001 \u13e3\u13b3\u13a9 \u0f56\u0f40",
    "accents": "h" + "\u0301" * 500 + "i",
    "one long word": "x" * 5000,
    "digits": "9" * 3000,
    "brackets": "(" * 3000 + "a" + ")" * 3000,
    "markup": "*" * 5000 + "a" + "`" * 3001 + "<b>" * 500,
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
async def test_odd_texts_speak_or_are_silent(engine: PiperEngine, text: str) -> None:
    async with aclosing(engine.stream(text)) as stream:
        async for chunk in stream:
            assert all(text[word.start_char : word.end_char] == word.text for word in chunk.words)
            if chunk.samples.size:
                break


@pytest.mark.parametrize("seed", range(8))
async def test_flipped_bytes_give_a_clear_error_or_a_voice(tmp_path: Path, seed: int) -> None:
    """The graph is at the end of the file."""
    random = Random(seed)
    content = bytearray(variants.model().SerializeToString())
    for _ in range(random.choice([1, 5, 40])):
        content[-random.randrange(1, 140_000)] = random.randrange(256)
    path = variants.write_voice(tmp_path, bytes(content))
    async with PiperEngine(threads=1, cache_dir=tmp_path / "cache") as engine:
        with suppress(SpeechError):
            await engine.synthesize("Is it damaged?", voice=path)
    shutil.rmtree(tmp_path)


def test_names_that_are_no_text_are_refused(engine: PiperEngine, tmp_path: Path) -> None:
    content = variants.model().SerializeToString()
    assert b"/Mul_7_output_0" in content
    damaged = content.replace(b"/Mul_7_output_0", b"/\x80\xffl_7_output_0")
    path = variants.write_voice(tmp_path, damaged)
    with pytest.raises(SpeechError) as caught:
        engine.load(path)
    assert caught.value.code == "voice_invalid"
