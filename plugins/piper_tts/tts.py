"""Piper as a LiveKit text-to-speech: tokens in, frames and timed words out."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from plugins.errors import translated
from plugins.piper_tts.frames import FrameEmitter
from plugins.sentences import sentences
from plugins.written import SILENCE_S, Written
from speech.piper import DEFAULT_VOICE, PiperEngine, shared_engine
from speech.sentences import SentenceStreamBuffer
from speech.text import SpokenStream


@dataclass(frozen=True, slots=True)
class _Options:
    voice: str | Path | None
    speaker: str | int | None
    speed: float
    sentence_pause_s: float
    paragraph_pause_s: float
    min_sentence_length: int
    min_first_length: int

    def buffer(self) -> SentenceStreamBuffer:
        """Cuts one stream's text into sentences."""
        return SentenceStreamBuffer(
            self.min_sentence_length, min_first_length=self.min_first_length
        )


class TTS(tts.TTS[str]):
    """Speaks with the Piper engine of this process.

    Sound comes in frames of 4096 bytes, the first while its sentence is still being synthesised,
    with each word's time in the segment.

    Args:
        engine: Where the models run; by default the one that the process shares.
        voice: A voice's name or `.onnx` file; by default the one that comes with the project.
        speaker: Name or number, for voices that have several.
        speed: 2.0 is twice as fast; 0.25 to 4.
        sample_rate_hz: Of the frames; the voice's own by default.
        sentence_pause_s: Silence between sentences.
        paragraph_pause_s: Silence between paragraphs.
        min_sentence_length: Shorter sentences are spoken together with the next.
        min_first_length: The same for a stream's first sentence, where waiting is heard.

    Raises:
        SpeechError: `voice_not_found` or `voice_invalid`.
    """

    def __init__(
        self,
        *,
        engine: PiperEngine | None = None,
        voice: str | Path | None = None,
        speaker: str | int | None = None,
        speed: float = 1.0,
        sample_rate_hz: int | None = None,
        sentence_pause_s: float = 0.2,
        paragraph_pause_s: float = 0.5,
        min_sentence_length: int = 20,
        min_first_length: int = 6,
    ) -> None:
        self._engine = engine or shared_engine()
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=sample_rate_hz or self._engine.sample_rate_of(voice),
            num_channels=1,
        )
        self._options = _Options(
            voice,
            speaker,
            speed,
            sentence_pause_s,
            paragraph_pause_s,
            min_sentence_length,
            min_first_length,
        )
        self._loading: asyncio.Future[object] | None = None

    @property
    def model(self) -> str:
        """The voice."""
        return Path(self._options.voice or DEFAULT_VOICE).name.removesuffix(".onnx")

    @property
    def provider(self) -> str:
        """Always `piper`."""
        return "piper"

    def update_options(
        self, *, speaker: str | int | None = None, speed: float | None = None
    ) -> None:
        """Changes how the streams speak that are opened from now on."""
        self._options = replace(
            self._options,
            speaker=self._options.speaker if speaker is None else speaker,
            speed=self._options.speed if speed is None else speed,
        )

    def prewarm(self) -> None:
        """Begins to load the voice, in a thread."""
        loop = asyncio.get_running_loop()
        self._loading = loop.run_in_executor(None, self._engine.load, self._options.voice)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """Speaks a whole text."""
        return ChunkedStream(self, text, conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SynthesizeStream:
        """Speaks a text that is still being written; one segment for each stream."""
        return SynthesizeStream(self, conn_options)


class SynthesizeStream(tts.SynthesizeStream):
    """Takes tokens and speaks each sentence as soon as it is complete."""

    def __init__(self, piper: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=piper, conn_options=conn_options)
        self._piper = piper

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._piper, stream=True)
        output_emitter.start_segment(segment_id=utils.shortuuid())
        with translated():
            speaker = await _Speaker.of(self._piper, output_emitter)
            found = sentences(self._input_ch, self._piper._options.buffer(), speaker.written.add)
            async with aclosing(found):
                async for sentence in found:
                    self._mark_started()
                    await speaker.say(sentence)
            speaker.finish()
        output_emitter.end_segment()


class ChunkedStream(tts.ChunkedStream):
    """Speaks a whole text."""

    def __init__(self, piper: TTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=piper, input_text=text, conn_options=conn_options)
        self._piper = piper

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._piper, stream=False)
        buffer = self._piper._options.buffer()
        with translated():
            speaker = await _Speaker.of(self._piper, output_emitter)
            speaker.written.add(self._input_text)
            for sentence in [*buffer.push(self._input_text), *buffer.flush()]:
                await speaker.say(sentence)
            speaker.finish()


class _Speaker:
    """Speaks the sentences of one segment, and tells the time of every word that was written."""

    def __init__(self, piper: TTS, language: str, frames: FrameEmitter) -> None:
        self._piper = piper
        self._spoken = SpokenStream(language, piper._engine.lexicon)
        self._frames = frames
        self.written = Written()
        self._sounded = False

    @classmethod
    async def of(cls, piper: TTS, emitter: tts.AudioEmitter) -> _Speaker:
        """Waits until the voice is loaded."""
        voice = await piper._engine.ready(piper._options.voice)
        return cls(piper, voice.language, FrameEmitter(emitter, piper.sample_rate))

    async def say(self, sentence: str) -> None:
        """Speaks the next sentence of what was written."""
        options = self._piper._options
        start = self.written.find(sentence)
        paragraph = self.written.begins_paragraph(start)
        pause_s = options.paragraph_pause_s if paragraph else options.sentence_pause_s
        stream = self._piper._engine.stream(
            self._spoken.push(sentence),
            voice=options.voice,
            speaker=options.speaker,
            speed=options.speed,
            sample_rate_hz=self._piper.sample_rate,
        )
        origin_s: float | None = None
        async with aclosing(stream):
            async for chunk in stream:
                if origin_s is None:
                    if self._sounded:
                        self._frames.pause(pause_s)
                    origin_s = self._frames.position_s
                self._sounded = True
                for word in chunk.words:
                    start_s, end_s = origin_s + word.start_s, origin_s + word.end_s
                    self._frames.words(self.written.timed(start + word.end_char, start_s, end_s))
                self._frames.speech(chunk.samples.tobytes())
        self._tell_rest(start + len(sentence))
        self._frames.fill()

    def finish(self) -> None:
        """Ends the segment."""
        self._tell_rest(len(self.written.text))
        if self.written.text.strip() and not self._sounded:
            self._frames.pause(SILENCE_S)
            self._frames.fill()

    def _tell_rest(self, upto: int) -> None:
        """Sends text without a sound of its own with the end of the sound so far."""
        position_s = self._frames.position_s
        self._frames.words(self.written.timed(upto, position_s, position_s))


def _initialize(emitter: tts.AudioEmitter, piper: TTS, *, stream: bool) -> None:
    emitter.initialize(
        request_id=utils.shortuuid(),
        sample_rate=piper.sample_rate,
        num_channels=1,
        mime_type="audio/pcm",
        stream=stream,
    )
