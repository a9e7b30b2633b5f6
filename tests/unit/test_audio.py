from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.audio import (
    FrameCutter,
    Leveller,
    Resampler,
    read_wav,
    resample,
    speech_level,
    to_float,
    to_int16,
    wav_bytes,
    wav_header,
    write_wav,
)
from speech.audio.loudness import BLOCK_SAMPLES, TARGET_DB


def _tone(samples: int, rate_hz: int = 22_050, level: float = 0.3) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * 220 * np.arange(samples) / rate_hz)
    return wave.astype(np.float32)


@given(st.lists(st.binary(max_size=9000), max_size=8), st.integers(1, 3000))
def test_frames_are_whole_and_nothing_is_lost(pieces: list[bytes], first_samples: int) -> None:
    cutter = FrameCutter(4096, first_bytes=2 * first_samples)
    frames = [frame for piece in pieces for frame in cutter.push(piece)]
    missing = cutter.missing_bytes
    rest = cutter.flush()
    sizes = [len(frame) for frame in frames]
    assert sizes[:1] == [2 * first_samples][: len(sizes)]
    assert set(sizes[1:]) <= {4096}
    assert b"".join(frames) + rest == b"".join(pieces)
    assert missing == (0 if not rest else (4096 if frames else 2 * first_samples) - len(rest))


def test_a_frame_holds_whole_samples() -> None:
    with pytest.raises(ValueError, match="whole 16-bit samples"):
        FrameCutter(4095)


@settings(max_examples=30)
@given(
    st.sampled_from([(22_050, 24_000), (22_050, 8_000), (16_000, 22_050), (22_050, 22_050)]),
    st.lists(st.integers(0, 5000), min_size=1, max_size=6),
)
def test_resampling_in_pieces_has_no_seams(rates: tuple[int, int], sizes: list[int]) -> None:
    sound = _tone(sum(sizes), rates[0])
    stream = Resampler(*rates)
    pieces = [stream.push(part) for part in np.split(sound, np.cumsum(sizes)[:-1])]
    streamed = np.concatenate([*pieces, stream.flush()])
    assert abs(streamed.size - sound.size * rates[1] / rates[0]) <= 1
    whole = resample(sound, *rates)
    size = min(whole.size, streamed.size)
    np.testing.assert_allclose(streamed[:size], whole[:size], atol=1e-4)


@pytest.mark.parametrize("rate_hz", [0, -1, 10**9])
def test_a_rate_out_of_range_is_refused(rate_hz: int) -> None:
    with pytest.raises(SpeechError, match="sample rate"):
        Resampler(22_050, rate_hz)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_levelling_does_not_depend_on_the_cuts(blocks: list[int]) -> None:
    sound = _tone(sum(blocks) * BLOCK_SAMPLES, level=0.05)
    leveller = Leveller(-30.0)
    cuts = np.cumsum(blocks)[:-1] * BLOCK_SAMPLES
    pieces = np.concatenate([leveller.push(part) for part in np.split(sound, cuts)])
    np.testing.assert_array_equal(pieces, Leveller(-30.0).push(sound))


def test_loud_and_quiet_speech_come_out_alike_and_never_clip() -> None:
    for level in (0.05, 0.1, 0.2, 0.9):
        sound = _tone(20 * 22_050, level=level)
        out = Leveller(speech_level(sound)).push(sound)
        assert speech_level(out[-22_050:]) == pytest.approx(TARGET_DB, abs=0.5)
        assert np.abs(out).max() < 1
    assert np.abs(Leveller(-60.0).push(_tone(4096, level=1.0))).max() <= 1


def test_silence_has_no_level() -> None:
    assert speech_level(np.zeros(4096, np.float32)) == TARGET_DB
    assert not Leveller(-20).push(np.zeros(4096, np.float32)).any()


def test_16_bits_there_and_back() -> None:
    assert to_int16(np.array([0, 1, -1, 5, -5], np.float32)).tolist() == [
        0,
        32767,
        -32767,
        32767,
        -32768,
    ]
    shorts = np.arange(-32768, 32768, 7, dtype=np.int16)
    assert np.abs(to_int16(to_float(shorts)).astype(int) - shorts).max() <= 1


def test_wav_there_and_back(tmp_path: Path) -> None:
    shorts = to_int16(_tone(1000))
    write_wav(tmp_path / "a.wav", shorts, 22_050)
    for source in (tmp_path / "a.wav", wav_bytes(shorts, 22_050)):
        wav = read_wav(source)
        assert wav.sample_rate_hz == 22_050
        assert wav.duration_s == pytest.approx(1000 / 22_050)
        np.testing.assert_allclose(wav.samples, shorts / 32768, atol=1e-6)
    assert len(wav_header(22_050)) == 44
    assert wav_bytes(shorts, 22_050)[:44] == wav_header(22_050, 2000)


@given(st.binary(max_size=300), st.booleans())
def test_what_is_no_wav_is_refused(content: bytes, headed: bool) -> None:
    if headed:
        content = wav_header(22_050, 100)[: len(content)] + content
    with suppress(SpeechError):
        wav = read_wav(content)
        assert wav.samples.size
        assert np.isfinite(wav.samples).all()


def test_not_numbers_and_too_long_are_refused(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan], np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(SpeechError, match="not numbers"):
        read_wav(path)
    with pytest.raises(SpeechError, match="longer than"):
        read_wav(wav_bytes(np.zeros(16_000, np.int16), 8_000), max_s=1.0)
    with pytest.raises(SpeechError, match="There is no file"):
        read_wav(tmp_path / "missing.wav")
