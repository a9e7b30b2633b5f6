"""One call of door D: who answers, what is heard, what is spoken and what was heard of it."""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from flow_backend.doors.chat_settings import ChatSettings
from flow_backend.doors.conversation import answer, chat_flow
from flow_backend.doors.heard import HeardAudio, told
from flow_backend.doors.speaking import (
    Audio,
    Failed,
    Limits,
    Text,
    TextOver,
    Voice,
    sentence_buffer,
    speak,
)
from flow_backend.doors.turn_times import TurnTimes
from flow_backend.doors.voices import Voices
from flow_backend.engine.engine import Engine, EngineParts
from flow_backend.engine.session import Session
from flow_backend.engine.transient import transient_session
from protocol.errors import FlowError, ParleyError, ProviderError, SpeechError
from protocol.turns import HeardReport
from speech.moonshine import MoonshineStream, Stage
from speech.stt import STTProvider

log = logging.getLogger(__name__)

RATE_HZ = 24_000
END_OF_TURN_S = 0.55
"""Silence after a pause was noticed until the words count as said."""
BARGE_IN_S = 0.3
"""The user's voice must go on for so long to stop the agent."""


class Character(BaseModel):
    """Somebody who answers, with a voice of their own."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    name: str = Field(min_length=1, max_length=100)
    voice: str | None = Field(default=None, max_length=200)
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    instructions: str = Field(default="", max_length=20_000)


class ModelSettings(BaseModel):
    """Which model answers, and how."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = Field(default=None, max_length=40, pattern=r"^[^,/\s]+$")
    model: str | None = Field(default=None, max_length=200, pattern=r"^[^,\s]+$")
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a client chose when it connected."""

    flow_id: str | None = None
    """Flow that answers where there are no characters; its greeting is spoken at once. None: the
    setting CHAT_FLOW, without a greeting."""
    details: bool = False
    """Tell the session behind the call, each turn's times and when words sound, too."""
    owner: str = ""
    """Id of the API key whose sessions the call's are."""


class Client(ABC):
    """Where the call's messages go."""

    @abstractmethod
    async def send(self, message: dict[str, Any], audio: bytes | None = None) -> None:
        """Sends a message, and a binary frame right behind it.

        Raises:
            StreamError: `client_too_slow`.
        """


AGENT = Character(id="agent", name="Agent")


class VoiceCall:
    """Owns the answer that runs, the transcription and the sessions; open with `async with`."""

    def __init__(
        self,
        client: Client,
        parts: EngineParts,
        engine: Engine,
        voices: Voices,
        settings: ChatSettings,
        options: CallOptions | None = None,
    ) -> None:
        self._options = options or CallOptions()
        self.id = uuid4().hex
        self._client = client
        self._parts = parts
        self._engine = engine
        self._voices = voices
        self._settings = settings
        self._model = ModelSettings()
        self._characters: list[Character] = []
        self._sessions: dict[str, Session] = {}
        self._unseen: dict[str, list[str]] = {}
        """What other characters said since each one's last answer."""
        self._answering: asyncio.Task[None] | None = None
        self._speaking: _Speaking | None = None
        self._heard_s = 0.0
        """Seconds of microphone audio since listening began."""
        self._heard_rate_hz = 16_000
        self._stt: MoonshineStream | None = None
        self._listening: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._cancel_answer()
        for session in self._sessions.values():
            await session.aclose()
        if self._failure.done() and not self._failure.cancelled():
            self._failure.exception()
        else:
            self._failure.cancel()

    async def failed(self) -> None:
        """Waits for the call's end; raises what ended it."""
        await asyncio.shield(self._failure)

    async def begin(self) -> None:
        """Opens the chosen flow and begins its greeting.

        Raises:
            FlowError: `flow_not_found`, `template_failed`.
        """
        if self._options.flow_id is None:
            return
        session, greeting = await self._engine.open(
            self._options.flow_id, owner=self._options.owner
        )
        self._sessions[AGENT.id] = session
        await self._tell_session(session)
        if greeting:
            self._answering = asyncio.create_task(self._greet(session, greeting), name="greeting")
            self._answering.add_done_callback(self._answered)

    async def _greet(self, session: Session, greeting: str) -> None:
        async def once() -> AsyncGenerator[str, None]:
            yield greeting

        speaking = _Speaking(session, uuid4().hex, TurnTimes(monotonic))
        try:
            await self._speak(AGENT, speaking, once())
        except ParleyError as error:
            await self._end_failed(error, speaking.message_id)

    async def _tell_session(self, session: Session) -> None:
        if self._options.details:
            await self._client.send(
                {"type": "session", "flow_id": session.plan.flow.id, "session_id": session.id}
            )

    async def set_model(self, model: ModelSettings) -> None:
        """Takes another model; the conversation so far is forgotten with the old one's sessions.

        Raises:
            FlowError: `request_invalid` for a model that cannot be had.
        """
        reference = _reference(model)
        try:
            await self._parts.models.get(reference)
        except ParleyError as error:
            raise FlowError("request_invalid", error.message, path="data") from error
        self._model = model
        await self._forget_sessions()

    async def set_characters(self, characters: list[Character]) -> None:
        """Takes other characters.

        Raises:
            FlowError: `request_invalid` for two with one id.
        """
        if len({character.id for character in characters}) < len(characters):
            raise FlowError("request_invalid", "Two characters have one id.", path="data")
        await self._cancel_answer()
        self._characters = characters
        await self._forget_sessions()

    async def _forget_sessions(self) -> None:
        await self._cancel_answer()
        sessions, self._sessions = self._sessions, {}
        self._unseen.clear()
        for session in sessions.values():
            await session.aclose()

    async def say(self, text: str, heard: dict[str, float] | None = None) -> None:
        """The user says something; an answer that runs is interrupted.

        Args:
            text: Their words.
            heard: For spoken ones, when they were heard; see `TurnTimes`.
        """
        if not text.strip():
            raise FlowError("request_invalid", "The text is empty.", path="data.text")
        await self.interrupt()
        self._answering = asyncio.create_task(self._answer(text, heard), name="answer")
        self._answering.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def interrupt(self) -> None:
        """Stops the answer that runs, and says how much of it was heard."""
        speaking = self._speaking
        await self._cancel_answer()
        if speaking is not None:
            heard = await speaking.report()
            await self._client.send(
                {
                    "type": "interrupted",
                    "message_id": speaking.message_id,
                    "heard_text": heard,
                    "estimated": speaking.audio.estimated,
                }
            )
            await self._tell_times(speaking, interrupted=True)

    async def _tell_times(self, speaking: _Speaking, *, interrupted: bool) -> None:
        if self._options.details and speaking.turn_id is not None:
            times = speaking.times.waterfall(speaking.turn_id, interrupted=interrupted)
            await self._client.send({"type": "waterfall", **times})

    async def _cancel_answer(self) -> None:
        answering, self._answering, self._speaking = self._answering, None, None
        if answering is not None:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _answer(self, text: str, heard: dict[str, float] | None) -> None:
        for character in self._addressed(text):
            message_id = uuid4().hex
            times, heard = TurnTimes(monotonic, heard), None
            try:
                await self._answer_as(character, text, message_id, times)
            except ParleyError as error:
                await self._end_failed(error, message_id)
                return

    async def _end_failed(self, error: ParleyError, message_id: str) -> None:
        if error.code == "client_too_slow":
            raise error
        self._speaking = None
        await self._tell_failure(error)
        await self._client.send({"type": "text_stream_stop", "message_id": message_id})

    def _addressed(self, text: str) -> list[Character]:
        """Who answers: those that are named, in the order of naming, else everybody in turn."""
        if not self._characters:
            return [AGENT]
        named = [
            (match.start(), character)
            for character in self._characters
            if (match := re.search(rf"(?<!\w){re.escape(character.name)}(?!\w)", text, re.I))
        ]
        return [c for _, c in sorted(named, key=lambda pair: pair[0])] or list(self._characters)

    async def _session(self, character: Character) -> Session:
        session = self._sessions.get(character.id)
        if session is None:
            if character is AGENT and self._model == ModelSettings():
                session, _ = await self._engine.open(
                    self._options.flow_id or self._settings.chat_flow, owner=self._options.owner
                )
                await self._tell_session(session)
            else:
                flow = chat_flow(
                    llm=_reference(self._model),
                    instructions=_instructions(character),
                    temperature=self._model.temperature,
                    max_tokens=self._model.max_tokens,
                )
                session = transient_session(self._parts, flow)
            self._sessions[character.id] = session
        return session

    async def _answer_as(
        self, character: Character, text: str, message_id: str, times: TurnTimes
    ) -> None:
        session = await self._session(character)
        overheard = self._unseen.pop(character.id, [])
        message = "\n".join([*overheard, text])
        speaking = _Speaking(session, message_id, times)
        await self._speak(character, speaking, answer(session, message, on_event=speaking.note))

    async def _speak(
        self, character: Character, speaking: _Speaking, tokens: AsyncGenerator[str, None]
    ) -> None:
        """Sends an answer's text and sound; done once all of it has sounded."""
        voice = Voice(self._voices.get(), character.voice, character.speed)
        self._speaking = speaking
        message_id = speaking.message_id
        names = {"message_id": message_id, "character_name": character.name}
        await self._client.send({"type": "text_stream_start", **names})
        spoken = speak(
            tokens,
            sentence_buffer(),
            voice,
            limits=Limits(parallel=self._voices.settings.speech_parallel),
        )
        said = ""
        async with aclosing(spoken):
            async for event in spoken:
                match event:
                    case Text(token):
                        await self._client.send(
                            {"type": "text_chunk", "text": token, "message_id": message_id}
                        )
                    case TextOver(said, _):
                        await self._client.send(
                            {"type": "text_stream_stop", "message_id": message_id}
                        )
                    case Failed(_, error):
                        await self._tell_failure(error)
                    case Audio():
                        await self._send_audio(event, character, names, speaking)
        await self._client.send(
            {"type": "audio_complete", "session_id": self.id, "message_id": message_id}
        )
        for other in self._characters:
            if other.id != character.id:
                self._unseen.setdefault(other.id, []).append(f"{character.name}: {said}")
        await speaking.audio.over()
        self._speaking = None
        await self._tell_times(speaking, interrupted=False)

    async def _tell_failure(self, error: ParleyError) -> None:
        await self._client.send({"type": "error", "code": error.code, "message": error.message})

    async def _send_audio(
        self, event: Audio, character: Character, names: dict[str, str], speaking: _Speaking
    ) -> None:
        chunk = event.chunk
        if not chunk.samples.size:
            return
        if not speaking.audio.begun:
            await self._client.send(
                {"type": "audio_stream_start", **names, "sample_rate": chunk.sample_rate_hz}
            )
        message_id = speaking.message_id
        index = speaking.audio.next_index(event.sequence)
        if self._options.details and (chunk.words or index == 0):
            words = {"sentence_index": event.sequence, "text": event.text, "words": told(chunk)}
            await self._client.send({"type": "spoken_words", "message_id": message_id, **words})
        meta = {
            "type": "audio_chunk_meta",
            "message_id": message_id,
            "character_id": character.id,
            "sentence_index": event.sequence,
            "chunk_index": index,
        }
        speaking.audio.add(event.text, event.sequence, chunk)
        speaking.times.audio()
        await self._client.send(meta, chunk.samples.astype("<i2", copy=False).tobytes())

    async def start_listening(self, sample_rate_hz: int) -> None:
        """Takes microphone audio at this rate from now on.

        Raises:
            ProviderError: For a transcriber that is not configured.
            ConfigError: For one that is not installed.
        """
        await self.stop_listening()
        if self._listening is not None:
            await asyncio.wait([self._listening])
        hearing = self._voices.hearing()
        self._heard_s, self._heard_rate_hz = 0.0, sample_rate_hz
        stt = self._stt = hearing.listen(sample_rate_hz)
        self._listening = asyncio.create_task(
            self._listen(stt, hearing, sample_rate_hz), name="listening"
        )
        self._listening.add_done_callback(self._answered)

    async def stop_listening(self) -> None:
        """Takes no more audio; what was being said counts as said once it is transcribed."""
        stt, self._stt = self._stt, None
        if stt is not None:
            stt.flush()
            stt.end_input()

    async def hear(self, pcm: bytes) -> None:
        """Takes microphone audio, PCM16 mono little-endian.

        Raises:
            SpeechError: `audio_invalid` for an odd number of bytes, or audio that was not
                announced by `start_listening`.
        """
        if self._stt is None:
            raise SpeechError("audio_invalid", "Send start_listening before audio.")
        if len(pcm) % 2:
            raise SpeechError(
                "audio_invalid", f"PCM16 comes in pairs of bytes; this frame has {len(pcm)}."
            )
        self._heard_s += len(pcm) / 2 / self._heard_rate_hz
        await self._stt.push(np.frombuffer(pcm, "<i2").astype(np.int16, copy=False))

    async def _listen(
        self, stt: MoonshineStream, hearing: STTProvider, sample_rate_hz: int
    ) -> None:
        """Hears until the input ends. A failure is told, and hearing goes on after it."""
        while True:
            try:
                async with stt:
                    await self._follow(stt)
                return
            except (ProviderError, SpeechError) as error:
                failure = error
            if not (over := stt.ended):
                self._heard_s = 0.0
                stt = self._stt = hearing.listen(sample_rate_hz)
            await self._tell_failure(failure)
            if over:
                return

    async def _follow(self, stt: MoonshineStream) -> None:
        """Turns transcription events into messages, interruptions and the user's turns."""
        ending: asyncio.Task[None] | None = None
        barge: asyncio.Task[None] | None = None
        heard: dict[str, float] = {}
        try:
            async for event in stt:
                match event.stage:
                    case Stage.STARTED:
                        _cancel(ending)
                        if self._speaking is not None:
                            barge = asyncio.create_task(self._barge_in())
                    case Stage.INTERIM:
                        _cancel(ending)
                        await self._client.send({"type": "stt_update", "text": event.text})
                    case Stage.PAUSED:
                        _cancel(barge)
                        _cancel(ending)
                        await self._client.send({"type": "stt_update", "text": event.text})
                        ending = asyncio.create_task(_end_turn(stt))
                        now_s = monotonic()
                        since_s = max(0.0, self._heard_s - event.end_s) if event.end_s else 0.0
                        heard = {"ended": now_s - since_s, "vad": now_s}
                    case Stage.FINAL:
                        await self._client.send({"type": "stt_finished", "text": event.text})
                        if event.text:
                            await self.say(event.text, {**heard, "transcript": monotonic()})
                        heard = {}
        finally:
            _cancel(ending)
            _cancel(barge)

    async def _barge_in(self) -> None:
        await asyncio.sleep(BARGE_IN_S)
        await self.interrupt()


async def _end_turn(stt: MoonshineStream) -> None:
    await asyncio.sleep(END_OF_TURN_S)
    stt.flush()


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()


def _reference(model: ModelSettings) -> str:
    provider = model.provider or "default"
    return f"{provider}/{model.model}" if model.model and model.provider else provider


def _instructions(character: Character) -> str:
    return (
        f"You are {character.name}, speaking aloud. {character.instructions}\n"
        "Answer in one to three short spoken sentences, as yourself, without naming the speaker."
    )


class _Speaking:
    """The answer that runs: its turn, and how much of its audio has sounded."""

    def __init__(self, session: Session, message_id: str, times: TurnTimes) -> None:
        self.session = session
        self.message_id = message_id
        self.times = times
        self.turn_id: str | None = None
        self.audio = HeardAudio(monotonic)

    def note(self, event: dict[str, Any]) -> None:
        """Learns the turn's id and its times from its events."""
        self.turn_id = event["turn_id"]
        self.times.event(event)

    async def report(self) -> str:
        """Tells the session what was heard until now, and gives it."""
        heard = self.audio.heard_text()
        if self.turn_id is not None:
            turn = await self.session.turn(self.turn_id)
            report = HeardReport(text=heard, interrupted=True, estimated=self.audio.estimated)
            await self.session.heard(turn, report)
        return heard
