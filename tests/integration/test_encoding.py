"""Encoded speech, decoded again by FFmpeg."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import pytest

from speech.audio.encoding import AudioFormat, Encoder, content_type, encode


def tone(rate_hz: int, seconds: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    at = np.arange(int(rate_hz * seconds))
    return (np.sin(2 * np.pi * 440 * at / rate_hz) * 9000).astype(np.int16)


def decoded(data: bytes) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    with av.open(io.BytesIO(data)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler("flt", "mono", rate)
        frames = [
            piece.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    return np.concatenate(frames).astype(np.float64), rate


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus"])
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 44_100])
def test_a_tone_comes_back_as_the_same_tone(audio_format: AudioFormat, rate_hz: int) -> None:
    samples, decoded_rate_hz = decoded(encode(tone(rate_hz), rate_hz, audio_format))
    seconds = len(samples) / decoded_rate_hz
    assert 0.98 < seconds < 1.12
    middle = samples[decoded_rate_hz // 4 : decoded_rate_hz * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    peak_hz = np.argmax(spectrum) * decoded_rate_hz / len(middle)
    assert abs(peak_hz - 440) < 4
    assert 0.22 < np.abs(middle).max() < 0.33


@pytest.mark.parametrize("audio_format", ["wav", "pcm", "mp3", "opus"])
def test_bytes_come_while_audio_is_pushed(audio_format: AudioFormat) -> None:
    encoder = Encoder(audio_format, 24_000)
    sizes = [len(encoder.push(tone(24_000, 0.25))) for _ in range(8)]
    assert sum(size > 0 for size in sizes) >= 4
    encoder.finish()


def test_a_whole_wav_says_its_length_and_keeps_its_samples() -> None:
    with wave.open(io.BytesIO(encode(tone(24_000), 24_000, "wav"))) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 24_000)
        assert wav.readframes(wav.getnframes()) == tone(24_000).tobytes()


@pytest.mark.parametrize("audio_format", ["wav", "pcm", "mp3", "opus"])
def test_nothing_to_encode_is_fine(audio_format: AudioFormat) -> None:
    data = encode(np.zeros(0, np.int16), 24_000, audio_format)
    assert len(data) == 44 if audio_format == "wav" else isinstance(data, bytes)


def test_raw_pcm_says_its_rate() -> None:
    assert content_type("pcm", 22_050) == "audio/pcm;rate=22050;channels=1"
    assert content_type("opus", 24_000) == "audio/ogg"
