"""`MoonshineEngine` as a LiveKit STT."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    stt,
    utils,
)

from plugins.errors import translated
from protocol.errors import SpeechError
from speech.audio import resample
from speech.moonshine import MoonshineEngine, MoonshineStream, Stage, StreamEvent

Endpointing = Literal["session", "vad"]

_LANGUAGE = LanguageCode("en")
_RATE_HZ = 16_000
_EVENTS = {
    Stage.STARTED: stt.SpeechEventType.START_OF_SPEECH,
    Stage.INTERIM: stt.SpeechEventType.INTERIM_TRANSCRIPT,
    Stage.PAUSED: stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    Stage.FINAL: stt.SpeechEventType.FINAL_TRANSCRIPT,
}


class STT(stt.STT[Any]):
    """English speech to text on this machine's CPU.

    Streams are gated by voice activity of their own, so that silence and noise cost nothing and
    give no text. At each pause a preflight transcript is sent; the final that follows a flush
    repeats it exactly, unless more was said.

    Args:
        engine: The process's engine, which stays open; None makes one that `aclose` closes.
        endpointing: `session`: the session's VAD or turn detector flushes (`manual_flush`).
            `vad`: the stream ends turns itself after `end_silence_s`, for sessions with
            `turn_detection="stt"` and for use without a session.
        end_silence_s: Silence that ends a turn when `endpointing` is `vad`.
    """

    def __init__(
        self,
        *,
        engine: MoonshineEngine | None = None,
        endpointing: Endpointing = "session",
        end_silence_s: float = 0.6,
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=True,
                manual_flush=endpointing == "session",
            )
        )
        self._engine = engine or MoonshineEngine()
        self._owns_engine = engine is None
        self._end_silence_s = end_silence_s if endpointing == "vad" else None

    @property
    def model(self) -> str:
        """The model's name in metrics."""
        return "moonshine-base-en"

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return "moonshine"

    def prewarm(self) -> None:
        """Begins to load the model in the background."""
        self._engine.prewarm()

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> RecognizeStream:
        """A stream for one speaker. `language` is not looked at: the model knows English."""
        return RecognizeStream(
            stt=self,
            engine=self._engine,
            end_silence_s=self._end_silence_s,
            conn_options=conn_options,
        )

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        mono = _frames(frame).mean(axis=1, dtype=np.float32) / np.float32(32768)
        with translated():
            samples = resample(mono, frame.sample_rate, _RATE_HZ)
            transcript = await self._engine.transcribe(samples)
        return stt.SpeechEvent(
            stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=utils.shortuuid("stt_"),
            alternatives=[
                stt.SpeechData(
                    _LANGUAGE,
                    transcript.text,
                    end_time=transcript.duration_s,
                    confidence=transcript.confidence,
                )
            ],
        )

    async def aclose(self) -> None:
        """Closes the engine if this object made it."""
        if self._owns_engine:
            await self._engine.aclose()


class RecognizeStream(stt.RecognizeStream):
    """One speaker's audio, of any rate, mono or more channels."""

    def __init__(
        self,
        *,
        stt: STT,
        engine: MoonshineEngine,
        end_silence_s: float | None,
        conn_options: APIConnectOptions,
    ) -> None:
        self._engine = engine
        self._end_silence_s = end_silence_s
        super().__init__(stt=stt, conn_options=conn_options)

    async def _run(self) -> None:
        with translated():
            async for item in self._input_ch:
                if isinstance(item, rtc.AudioFrame):
                    await self._listen(item)
                    return
                self._send(StreamEvent(Stage.FINAL), heard_s=0.0)

    async def _listen(self, first: rtc.AudioFrame) -> None:
        async with self._engine.stream(
            sample_rate_hz=first.sample_rate,
            channels=first.num_channels,
            end_silence_s=self._end_silence_s,
        ) as stream:
            broken: list[SpeechError | ExceptionGroup[SpeechError]] = []
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._forward(stream))
                    await stream.push(_frames(first))
                    async for item in self._input_ch:
                        if isinstance(item, rtc.AudioFrame):
                            await stream.push(_frames(item))
                        else:
                            stream.flush()
                    stream.end_input()
            except* SpeechError as errors:
                broken.extend(errors.exceptions)
            if broken:
                raise broken[0]

    async def _forward(self, stream: MoonshineStream) -> None:
        reported_s = 0.0
        async for event in stream:
            self._send(event, heard_s=stream.heard_s)
            if event.stage is Stage.FINAL and stream.heard_s > reported_s:
                usage = stt.RecognitionUsage(audio_duration=stream.heard_s - reported_s)
                reported_s = stream.heard_s
                kind = stt.SpeechEventType.RECOGNITION_USAGE
                self._event_ch.send_nowait(stt.SpeechEvent(kind, recognition_usage=usage))

    def _send(self, event: StreamEvent, *, heard_s: float) -> None:
        """Passes an event on; `heard_s` of audio had come by now, which gives wall-clock times."""
        now = time.time()
        offset_s = self.start_time_offset
        speech = stt.SpeechData(
            _LANGUAGE,
            event.text,
            start_time=event.start_s + offset_s,
            end_time=event.end_s + offset_s,
            confidence=event.confidence,
        )
        sent = stt.SpeechEvent(_EVENTS[event.stage], alternatives=[speech])
        if event.stage is Stage.STARTED:
            sent.alternatives = []
            sent.speech_start_time = now - (heard_s - event.start_s)
        else:
            sent.speech_end_time = now - (heard_s - event.end_s)
        self._event_ch.send_nowait(sent)
        if event.stage is Stage.FINAL and event.text:
            ended = stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH)
            ended.speech_end_time = sent.speech_end_time
            self._event_ch.send_nowait(ended)


def _frames(frame: rtc.AudioFrame) -> npt.NDArray[np.int16]:
    """int16 [samples, channels], as LiveKit interleaves them."""
    return np.frombuffer(frame.data, dtype=np.int16).reshape(-1, frame.num_channels)
