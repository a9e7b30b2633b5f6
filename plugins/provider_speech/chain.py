"""Several voices as one: when one fails, the next goes on with the words that were not spoken."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, tts, utils
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    USERDATA_TIMED_TRANSCRIPT,
    TimedString,
)

from plugins.sentences import sentences
from plugins.written import SILENCE_S, Written
from speech.sentences import SentenceStreamBuffer

logger = logging.getLogger(__name__)

STALL_S = 4.0
"""A voice that gives no sound for so long, though there is something to say, has failed."""
COOLDOWN_S = 30.0
"""How long one that failed stands last."""
CHARACTERS_PER_S = 15.0
"""Of speech: tells how much was spoken of a sentence where the voice does not say."""


@dataclass(slots=True)
class _Member:
    voice: tts.TTS[Any]
    rests_until_s: float = 0.0


class VoiceChain(tts.TTS[str]):
    """Speaks sentence by sentence with the first voice that can.

    Args:
        voices: The preferred one first. They are closed with the chain.
        pause_s: Silence between sentences.
        stall_s: Silence after which a voice has failed.
    """

    def __init__(
        self, voices: list[tts.TTS[Any]], *, pause_s: float = 0.2, stall_s: float = STALL_S
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(
                streaming=True,
                aligned_transcript=all(voice.capabilities.aligned_transcript for voice in voices),
            ),
            sample_rate=max(voice.sample_rate for voice in voices),
            num_channels=1,
        )
        self._members = [_Member(voice) for voice in voices]
        self._pause_s = pause_s
        self._stall_s = stall_s

    @property
    def model(self) -> str:
        """Of the voice that speaks next."""
        return self._in_order()[0].voice.model

    @property
    def provider(self) -> str:
        """Of the voice that speaks next."""
        return self._in_order()[0].voice.provider

    def prewarm(self) -> None:
        """Gets all voices ready."""
        for member in self._members:
            member.voice.prewarm()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speaks a whole text."""
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Speaks a text that is still being written; one segment for each stream."""
        return _ChainStream(self, conn_options)

    async def aclose(self) -> None:
        """Closes the voices."""
        for member in self._members:
            await member.voice.aclose()

    def _in_order(self) -> list[_Member]:
        now_s = time.monotonic()
        return sorted(self._members, key=lambda member: member.rests_until_s > now_s)


class _ChainStream(tts.SynthesizeStream):
    def __init__(self, chain: VoiceChain, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=chain, conn_options=conn_options)
        self._chain = chain
        self._written = Written()
        self._samples = 0

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        self._emitter = output_emitter
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._chain.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        found = sentences(self._input_ch, SentenceStreamBuffer(), self._written.add)
        async with aclosing(found):
            async for sentence in found:
                self._mark_started()
                if self._samples:
                    self._silence(self._chain._pause_s)
                await self._say(self._written.find(sentence), sentence)
        if self._written.text.strip() and not self._samples:
            self._silence(SILENCE_S)
        self._tell(len(self._written.text), self._position_s, self._position_s)
        output_emitter.end_segment()

    @property
    def _position_s(self) -> float:
        return self._samples / self._chain.sample_rate

    async def _say(self, start: int, sentence: str) -> None:
        """Speaks a sentence of what was written, whoever can.

        Raises:
            APIConnectionError: Nobody can.
        """
        end = start + len(sentence)
        for member in self._chain._in_order():
            begun_s = self._position_s
            try:
                spoken_to = start
                async with aclosing(self._sounds(member.voice, sentence)) as sounds:
                    async for frame, words in sounds:
                        for word in words:
                            spoken_to = self._after(word, spoken_to, end)
                            self._tell(
                                spoken_to,
                                begun_s + _seconds(word.start_time),
                                begun_s + _seconds(word.end_time),
                            )
                        self._push(frame)
            except (APIError, TimeoutError) as error:
                member.rests_until_s = time.monotonic() + COOLDOWN_S
                logger.warning("%s failed (%s)", member.voice.label, type(error).__name__)
                if spoken_to == start:
                    spoken_to = start + _spoken(sentence, self._position_s - begun_s)
                start, sentence = spoken_to, self._written.text[spoken_to:end]
                if not any(map(str.isalnum, sentence)):
                    break
            else:
                member.rests_until_s = 0.0
                break
        else:
            raise APIConnectionError("no voice can speak")
        self._tell(end, self._position_s, self._position_s)

    async def _sounds(
        self, voice: tts.TTS[Any], sentence: str
    ) -> AsyncGenerator[tuple[rtc.AudioFrame, list[TimedString]]]:
        """The voice's frames at the chain's rate, each with the words that begin in it."""
        resampler = None
        if voice.sample_rate != self._chain.sample_rate:
            resampler = rtc.AudioResampler(
                input_rate=voice.sample_rate, output_rate=self._chain.sample_rate
            )
        options = APIConnectOptions(max_retry=0, timeout=self._chain._stall_s)
        async with voice.synthesize(sentence, conn_options=options) as stream:
            while True:
                try:
                    async with asyncio.timeout(self._chain._stall_s):
                        audio = await anext(stream)
                except StopAsyncIteration:
                    break
                words: list[TimedString] = audio.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
                if resampler is None:
                    yield audio.frame, words
                    continue
                for frame in resampler.push(audio.frame):
                    yield frame, words
                    words = []
            if resampler is not None:
                for frame in resampler.flush():
                    yield frame, []

    def _after(self, word: str, start: int, end: int) -> int:
        """Where a word that the voice tells ends in what was written."""
        bare = word.strip()
        place = self._written.text.find(bare, start, end)
        return place + len(bare) if bare and place >= 0 else min(start + len(word), end)

    def _push(self, frame: rtc.AudioFrame) -> None:
        self._samples += frame.samples_per_channel
        self._emitter.push_frame(
            rtc.AudioFrame(bytes(frame.data), self._chain.sample_rate, 1, frame.samples_per_channel)
        )

    def _silence(self, duration_s: float) -> None:
        samples = round(duration_s * self._chain.sample_rate)
        self._push(rtc.AudioFrame(bytes(2 * samples), self._chain.sample_rate, 1, samples))

    def _tell(self, upto: int, start_s: float, end_s: float) -> None:
        timed = self._written.timed(upto, start_s, end_s)
        if timed and self._chain.capabilities.aligned_transcript:
            self._emitter.push_timed_transcript(timed)


def _seconds(time_s: Any) -> float:
    return float(time_s) if isinstance(time_s, int | float) else 0.0


def _spoken(sentence: str, spoken_s: float) -> int:
    """Characters of a sentence that were spoken in so much time: whole words."""
    reached = round(spoken_s * CHARACTERS_PER_S)
    if reached <= 0:
        return 0
    return sentence.rfind(" ", 0, reached + 1) + 1
