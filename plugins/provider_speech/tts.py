"""A `speech.tts` provider as a LiveKit TTS: tokens in, sentences to the provider, audio out."""

from __future__ import annotations

from contextlib import aclosing

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from plugins.errors import translated
from plugins.sentences import sentences
from plugins.written import SILENCE_S, Written
from speech.sentences import SentenceStreamBuffer
from speech.tts import TTSProvider

_MIN_FIRST_CHARS = 6
"""A first sentence this long is spoken at once: silence costs more than rhythm."""


class TTS(tts.TTS[str]):
    """Speaks with a provider, which it does not own.

    Args:
        provider: Who speaks.
        voice: An id of `provider.voices()`; the provider's default if None.
        speed: 1.0 is the voice's own pace.
    """

    def __init__(
        self, provider: TTSProvider, *, voice: str | None = None, speed: float = 1.0
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(
                streaming=True, aligned_transcript=provider.has_word_timings
            ),
            sample_rate=provider.native_rate_hz,
            num_channels=1,
        )
        self._provider = provider
        self._voice = voice
        self._speed = speed

    @property
    def model(self) -> str:
        """What the provider speaks with."""
        return self._provider.version or self._provider.name

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return self._provider.name

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speaks a whole text."""
        return _ChunkedStream(self, text, conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Speaks a text that is still being written; one segment for each stream."""
        return _SynthesizeStream(self, conn_options)


class _ChunkedStream(tts.ChunkedStream):
    def __init__(self, tts: TTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=text, conn_options=conn_options)
        self._adapter = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker = _Speaker(self._adapter, output_emitter, stream=False)
        buffer = SentenceStreamBuffer()
        speaker.written.add(self._input_text)
        with translated():
            for sentence in [*buffer.push(self._input_text), *buffer.flush()]:
                await speaker.say(sentence)
        speaker.finish()


class _SynthesizeStream(tts.SynthesizeStream):
    def __init__(self, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._adapter = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker = _Speaker(self._adapter, output_emitter, stream=True)
        output_emitter.start_segment(segment_id=utils.shortuuid())
        with translated():
            buffer = SentenceStreamBuffer(min_first_length=_MIN_FIRST_CHARS)
            found = sentences(self._input_ch, buffer, speaker.written.add)
            async with aclosing(found):
                async for sentence in found:
                    self._mark_started()
                    await speaker.say(sentence)
        speaker.finish()
        output_emitter.end_segment()


class _Speaker:
    """Speaks the sentences of one segment; tells when each written word sounds, where known."""

    def __init__(self, adapter: TTS, emitter: tts.AudioEmitter, *, stream: bool) -> None:
        self._adapter = adapter
        self._emitter = emitter
        self.written = Written()
        self._samples = 0
        emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=adapter.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=stream,
        )

    @property
    def _position_s(self) -> float:
        return self._samples / self._adapter.sample_rate

    async def say(self, sentence: str) -> None:
        """Speaks the next sentence of what was written."""
        start = self.written.find(sentence)
        origin_s = self._position_s
        adapter = self._adapter
        stream = adapter._provider.stream(sentence, voice=adapter._voice, speed=adapter._speed)
        async with aclosing(stream):
            async for chunk in stream:
                for word in chunk.words:
                    self._tell(
                        start + word.end_char, origin_s + word.start_s, origin_s + word.end_s
                    )
                if chunk.samples.size:
                    self._push(chunk.samples.astype("<i2", copy=False).tobytes())
        self._tell(start + len(sentence), self._position_s, self._position_s)

    def finish(self) -> None:
        """Ends the segment."""
        text = self.written.text
        if text.strip() and not self._samples:
            self._push(bytes(2 * round(SILENCE_S * self._adapter.sample_rate)))
        self._tell(len(text), self._position_s, self._position_s)
        self._emitter.flush()

    def _push(self, pcm: bytes) -> None:
        self._samples += len(pcm) // 2
        self._emitter.push(pcm)

    def _tell(self, upto: int, start_s: float, end_s: float) -> None:
        """Sends what was written up to a position and has not been sent."""
        timed = self.written.timed(upto, start_s, end_s)
        if timed and self._adapter.capabilities.aligned_transcript:
            self._emitter.push_timed_transcript(timed)
