"""Speech as bytes for a client: WAV, raw PCM, MP3 and Ogg Opus, whole or while it is made."""

from __future__ import annotations

import io
from typing import Literal

import av
import numpy as np
import numpy.typing as npt
import soxr

from speech.audio.wav import wav_header

AudioFormat = Literal["wav", "pcm", "mp3", "opus"]

CONTENT_TYPES: dict[AudioFormat, str] = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
}
"""Media types; raw PCM is int16 little-endian mono and says its rate in a `rate` parameter."""

_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def content_type(audio_format: AudioFormat, sample_rate_hz: int) -> str:
    """The media type with the parameters that a client needs."""
    if audio_format == "pcm":
        return f"audio/pcm;rate={sample_rate_hz};channels=1"
    return CONTENT_TYPES[audio_format]


class Encoder:
    """Encodes mono speech piece by piece.

    Where the format does not know the rate, audio is resampled to 24 kHz (soxr, whose int16
    output is dithered with triangular noise).
    """

    def __init__(
        self, audio_format: AudioFormat, sample_rate_hz: int, *, length_samples: int | None = None
    ) -> None:
        """`length_samples` is written into a WAV's header where it is known beforehand."""
        self._format = audio_format
        self._resampler: soxr.ResampleStream | None = None
        self._head = b""
        self._container: _Container | None = None
        if audio_format == "wav":
            self._head = wav_header(
                sample_rate_hz, None if length_samples is None else 2 * length_samples
            )
        elif audio_format in ("mp3", "opus"):
            rates = _OPUS_RATES_HZ if audio_format == "opus" else _MP3_RATES_HZ
            rate_hz = sample_rate_hz if sample_rate_hz in rates else 24_000
            if rate_hz != sample_rate_hz:
                self._resampler = soxr.ResampleStream(sample_rate_hz, rate_hz, 1, dtype="int16")
            self._container = _Container(audio_format, rate_hz)

    def push(self, samples: npt.NDArray[np.int16]) -> bytes:
        """Takes int16 [n] and gives the bytes that are ready; may be none."""
        if self._container is not None:
            if self._resampler is not None:
                samples = self._resampler.resample_chunk(samples)
            return self._container.push(samples)
        head, self._head = self._head, b""
        return head + samples.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        """The last bytes; nothing may be pushed afterwards."""
        if self._container is None:
            return self._head
        rest = b""
        if self._resampler is not None:
            empty = np.zeros(0, np.int16)
            rest = self._container.push(self._resampler.resample_chunk(empty, last=True))
        return rest + self._container.finish()


def encode(samples: npt.NDArray[np.int16], sample_rate_hz: int, audio_format: AudioFormat) -> bytes:
    """A whole piece, int16 [n], as one file."""
    encoder = Encoder(audio_format, sample_rate_hz, length_samples=len(samples))
    return encoder.push(samples) + encoder.finish()


class _Container:
    """FFmpeg's muxer and codec over a buffer that is emptied after each push."""

    def __init__(self, audio_format: Literal["mp3", "opus"], rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._buffer = _Pipe()
        if audio_format == "mp3":
            self._output = av.open(
                self._buffer, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}
            )
            self._stream = self._output.add_stream("libmp3lame", rate=rate_hz, layout="mono")
            self._stream.bit_rate = 64_000
        else:
            self._output = av.open(
                self._buffer, "w", format="ogg", options={"page_duration": "100000"}
            )
            self._stream = self._output.add_stream("libopus", rate=rate_hz, layout="mono")
            self._stream.bit_rate = 32_000
        self._at_samples = 0

    def push(self, samples: npt.NDArray[np.int16]) -> bytes:
        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
            frame.sample_rate = self._rate_hz
            frame.pts = self._at_samples
            self._at_samples += len(samples)
            self._output.mux(self._stream.encode(frame))
        return self._buffer.take()

    def finish(self) -> bytes:
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._buffer.take()


class _Pipe(io.RawIOBase):
    """A file that can only be written, as a socket is."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
