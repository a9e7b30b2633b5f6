"""One call: a participant in a room, LiveKit's session, and a conversation with a flow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    CloseReason,
    ConversationItemAddedEvent,
    ErrorEvent,
    JobContext,
    SpeechCreatedEvent,
    UserStateChangedEvent,
    UserTranscriptionTimeoutEvent,
    llm,
    room_io,
    stt,
    tts,
)
from livekit.agents.voice import SpeechHandle

from agent_worker import metrics as counts
from agent_worker.actions import Actions, CallControl
from agent_worker.conversation import Conversation
from agent_worker.dispatch import chosen_flow, told_before
from agent_worker.flow_agent import FlowAgent
from agent_worker.flow_executor import FlowExecutor
from agent_worker.heard import Heard
from agent_worker.interruption import offer_interruption
from agent_worker.keypad import Keypad
from agent_worker.listening import Listening
from agent_worker.phrases import phrase_for
from agent_worker.recording import CallAbout, Recording
from agent_worker.room_end import close_room, people
from agent_worker.room_voice import RoomVoice
from agent_worker.room_words import RoomWords
from agent_worker.session import SessionFactory, room_options
from agent_worker.settings import WorkerSettings
from agent_worker.telephone import answered
from agent_worker.transfer import TransferError
from agent_worker.turn_trace import send_trace
from agent_worker.waterfall import TOPIC, Waterfall
from plugins import flow_llm
from protocol.errors import ParleyError
from protocol.logs import about
from protocol.tracing import Tracing
from protocol.turns import SessionOpened

logger = logging.getLogger(__name__)

DIGITS = "dtmf:"
"""Before digits that are a turn's input."""
SESSION_ATTRIBUTES = ("parley.flow", "parley.session")
"""The agent's attributes that tell a page which session of which flow it talks to."""


class Call:
    """Owns what belongs to one room. `start` wires it; `aclose` lets go of the backend.

    Args:
        ctx: The job of the room.
        settings: The worker's.
        make_session: Makes the session that speaks with a model.
        tracing: Where traces of the turns go; None: nowhere.
    """

    def __init__(
        self,
        ctx: JobContext,
        settings: WorkerSettings,
        make_session: SessionFactory,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._ctx = ctx
        self._settings = settings
        self._make_session = make_session
        self._session: AgentSession[None] | None = None
        self._voice: RoomVoice | None = None
        self._participant: rtc.RemoteParticipant | None = None
        self._executors: list[FlowExecutor] = []
        """Of each flow that the call was handed to, the current one last."""
        self._conversation: Conversation | None = None
        self._listening: Listening | None = None
        self._keypad: Keypad | None = None
        self._apology: SpeechHandle | None = None
        self._replies: dict[str, SpeechHandle] = {}
        """The speech of each turn that is not over."""
        self._actions: Actions | None = None
        self._was_asked = False
        """Whether the caller, who is silent, was asked if they are still there."""
        self._hanging_up = False
        self._recording: Recording | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Joins the room, waits for a participant and begins to listen; then returns."""
        about(room=self._ctx.job.room.name)
        self._loop = asyncio.get_running_loop()
        await self._ctx.connect()
        try:
            participant = await self._ctx.wait_for_participant()
        except RuntimeError:
            logger.info("room %s: nobody came", self._ctx.room.name)
            self._ctx.shutdown("nobody came")
            return
        if not await answered(self._ctx.room, participant):
            logger.info("room %s: nobody answered", self._ctx.room.name)
            self._ctx.shutdown("nobody answered")
            return
        self._participant = participant
        self._ctx.add_shutdown_callback(self.aclose)
        if self._settings.brain != "flow":
            await self._start_direct(participant)
        else:
            await self._start_flow(participant)

    def dismiss(self) -> None:
        """Says goodbye and ends the call, since the worker stops. May be called on any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the call is over, and its loop closed
                self._loop.call_soon_threadsafe(self._dismiss)

    def _dismiss(self) -> None:
        if self._session is None:
            self._ctx.shutdown("the worker stops")
            return
        with contextlib.suppress(RuntimeError):  # nothing to cut, or not to be cut
            self._session.interrupt()
        self._say(self._settings.phrase_closing)
        self._end_call("the worker stops")

    async def aclose(self) -> None:
        """Ends the recording, settles what is open at the backend and closes the connections."""
        if self._keypad is not None:
            self._keypad.close()
        # First, since a backend that is away is waited for.
        if self._recording is not None:
            await self._recording.end(self._about())
        if self._conversation is not None:
            await self._conversation.aclose()
        for executor in self._executors:
            await executor.aclose()
        if self._voice is not None:
            await self._voice.aclose()
            if self._voice.words is not None:
                await self._voice.words.aclose()

    def _about(self) -> CallAbout:
        return CallAbout(
            room=self._ctx.job.room.name,
            participant=self._participant.identity if self._participant is not None else "",
            sessions=[
                {"flow_id": executor.flow_id, "session_id": executor.session_id}
                for executor in self._executors
                if executor.session_id is not None
            ],
        )

    async def _start_flow(self, participant: rtc.RemoteParticipant) -> None:
        flow_id = chosen_flow(self._ctx, participant) or self._settings.flow_id
        executor = self._new_executor(flow_id, told_before(self._ctx))
        self._conversation = conversation = Conversation(executor, traced=self._tracing is not None)
        conversation.protected = self._protect
        self._listening = Listening(conversation.waterfalls)
        self._keypad = Keypad(
            self._ctx.room,
            participant.identity,
            on_press=self._on_press,
            on_digits=lambda digits: self._ask(f"{DIGITS}{digits}"),
        )
        control = CallControl(
            own=self._own,
            go_on_with=self._go_on_with,
            failed=lambda: self._apologise(self._settings.phrase_transfer_failed),
            leave=lambda: self._end_call("another agent has the call", leave=True),
            end=self._end_call,
        )
        self._actions = Actions(self._ctx, participant, self._keypad, control)
        conversation.asked = self._actions.asked
        model = flow_llm.LLM(conversation, flow_id=flow_id)
        agent = FlowAgent(
            on_reply=self._on_reply,
            transcribed=self._listening.transcribed,
            on_text=self._listening.floor.will_say,
            on_silence=self._on_no_sound,
        )
        greeting, _ = await asyncio.gather(
            self._greeting(executor), self._start_session(model, agent, participant)
        )
        self._greet(greeting)

    def _new_executor(self, flow_id: str, variables: dict[str, Any]) -> FlowExecutor:
        assert self._participant is not None
        executor = FlowExecutor(
            flow_id,
            backend_url=self._settings.backend_url,
            variables=variables,
            metadata={"room": self._ctx.room.name, "participant": self._participant.identity},
            api_key=self._settings.parley_api_key,
        )
        self._executors.append(executor)
        return executor

    async def _greeting(self, executor: FlowExecutor) -> SessionOpened | str:
        """Opens the session; gives it, or words that tell what is wrong."""
        try:
            return await self._open(executor)
        except ParleyError as error:
            # The next turn tries again.
            logger.warning("No session of flow %s: %s", executor.flow_id, error.code)
            counts.failed(error.code)
            return phrase_for(error.code, self._settings)

    def _greet(self, first: SessionOpened | str) -> None:
        if isinstance(first, str):
            self._say(first, add_to_chat_ctx=True)
            return
        spoken = self._say(first.greeting or "", add_to_chat_ctx=True)
        if spoken is not None and not first.allow_interruptions:
            spoken.allow_interruptions = False

    async def _open(self, executor: FlowExecutor) -> SessionOpened:
        """Opens the session and tells the room.

        Raises:
            ParleyError: As `FlowExecutor.open_session`.
        """
        opened = await executor.open_session()
        logger.info(
            "room %s: session %s of flow %s version %d",
            self._ctx.room.name,
            opened.session_id,
            executor.flow_id,
            opened.flow_version,
        )
        ids = dict(zip(SESSION_ATTRIBUTES, (executor.flow_id, opened.session_id), strict=True))
        await self._ctx.room.local_participant.set_attributes(ids)
        return opened

    async def _start_direct(self, participant: rtc.RemoteParticipant) -> None:
        from agent_worker.direct import direct_model

        settings = self._settings
        agent = Agent(instructions=settings.agent_instructions)
        model = direct_model(settings)
        self._ctx.add_shutdown_callback(model.aclose)
        await self._start_session(model, agent, participant)
        self._say(settings.agent_greeting, add_to_chat_ctx=True)

    async def _start_session(
        self, model: llm.LLM[Any], agent: Agent, participant: rtc.RemoteParticipant
    ) -> None:
        self._session = session = self._make_session(model)
        session.on("conversation_item_added", self._on_item)
        session.on("speech_created", self._on_speech_created)
        session.on("user_state_changed", self._on_user_state)
        session.on("agent_state_changed", self._on_agent_state)
        session.on("error", self._on_error)
        session.on("user_transcription_timeout", self._on_unintelligible)
        session.on("close", self._on_close)
        self._voice = session.output.audio = await RoomVoice.published_in(self._ctx.room)
        await session.start(
            agent,
            room=self._ctx.room,
            room_options=room_options(participant.identity, self._on_typed),
            # Otherwise every participant who can send data hears the session's events and may
            # steer it.
            session_host=False,
            record=False,
        )
        assert session.output.transcription is not None
        self._voice.words = RoomWords(session.output.transcription)
        session.output.transcription = self._voice.words
        offer_interruption(self._ctx, session, participant.identity)
        if (folder := self._settings.recordings_dir) is not None:
            self._recording = await Recording.begin(
                session, folder, kept_days=self._settings.recordings_kept_days
            )

    async def _on_typed(self, session: AgentSession[Any], event: room_io.TextInputEvent) -> None:
        try:
            await session.interrupt()
        except RuntimeError:
            # The flow has it that its words are spoken to their end: these come after them.
            logger.debug("Typed words wait for the agent's")
        self._ask(event.text)

    def _ask(self, words: str) -> None:
        """A turn of the caller's that was not spoken."""
        if words.strip() and self._session is not None and not self._hanging_up:
            with contextlib.suppress(RuntimeError):  # the session is closed: the caller has left
                self._session.generate_reply(user_input=words)

    def _on_press(self) -> None:
        """A key silences the prompt that it answers."""
        if self._session is not None and self._keypad is not None and self._keypad.is_asked:
            with contextlib.suppress(RuntimeError):  # not to be cut, or the caller has left
                self._session.interrupt()

    async def _go_on_with(self, flow_id: str, variables: dict[str, Any]) -> None:
        """The call goes on with another flow.

        Raises:
            TransferError: It cannot be opened.
        """
        assert self._conversation is not None
        executor = self._new_executor(flow_id, variables)
        try:
            greeting = await self._open(executor)
        except ParleyError as error:
            raise TransferError(f"no session of flow {flow_id}: {error.code}") from error
        self._conversation.executor = executor
        self._greet(greeting)

    def _say(self, text: str, *, add_to_chat_ctx: bool = False) -> SpeechHandle | None:
        if not text or self._session is None or self._hanging_up:
            return None
        try:
            return self._session.say(text, add_to_chat_ctx=add_to_chat_ctx)
        except RuntimeError:
            # The caller left meanwhile, and the session is closed.
            return None

    def _apologise(self, phrase: str) -> None:
        if self._apology is None or self._apology.done():
            self._apology = self._say(phrase)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage) or item.role != "user":
            return
        if self._keypad is not None and not (item.text_content or "").startswith(DIGITS):
            self._keypad.forget()
        if self._was_asked and self._session is not None:
            # Typed words are a sign of life, too.
            self._was_asked = False
            self._session.reset_away_timer()
        if self._conversation is not None:
            self._conversation.waterfalls.committed(item.id, item.metrics)
            self._conversation.commit(item.id)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if self._session is None or self._listening is None or event.new_state != "speaking":
            return
        if (speech := self._session.current_speech) is not None:
            self._listening.agent_began(speech)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        assert self._session is not None
        if event.new_state == "away":
            self._on_silence(self._session)
        elif event.new_state == "speaking":
            self._was_asked = False
            if self._listening is not None:
                self._listening.caller_began(self._session.current_speech)
            if self._conversation is not None and self._settings.preemptive:
                self._conversation.prefill()
        elif event.old_state == "speaking" and self._conversation is not None:
            # The event's own time is set back to the end of the speech.
            self._conversation.waterfalls.paused()

    def _on_silence(self, session: AgentSession[None]) -> None:
        """Asks once whether anybody is there; the second time it ends the call."""
        if self._was_asked:
            self._say(self._settings.phrase_goodbye)
            self._end_call("the caller is silent")
            return
        self._was_asked = True
        asked = self._say(self._settings.phrase_still_there)
        # LiveKit leaves a caller who is away at that: the second silence is asked for.
        if asked is None:
            asyncio.get_running_loop().call_soon(session.reset_away_timer)
        else:
            asked.add_done_callback(lambda _: session.reset_away_timer())

    def _on_reply(self, turn_id: str, speech: SpeechHandle) -> None:
        self._replies[turn_id] = speech
        speech.add_done_callback(lambda done: self._on_speech_done(turn_id, done))

    def _protect(self, turn_id: str) -> None:
        """From here on the answer may not be interrupted, as the flow says."""
        speech = self._replies.get(turn_id)
        if speech is not None and not speech.interrupted:
            speech.allow_interruptions = False

    def _on_speech_done(self, turn_id: str, speech: SpeechHandle) -> None:
        assert self._conversation is not None
        self._replies.pop(turn_id, None)
        heard = Heard.of(speech)
        waterfall = self._conversation.waterfalls.finished(
            turn_id,
            heard.metrics,
            interrupted=heard.interrupted,
            heard_text=heard.text,
            estimated=self._guesses_words,
        )
        if waterfall is not None:
            logger.info("%s", waterfall.log_line())
            counts.answered(waterfall)
            span = self._conversation.span_of(turn_id)
            if self._tracing is not None and span is not None:
                send_trace(self._tracing, waterfall, span)
            self._own(self._show(waterfall))
        self._conversation.heard(
            turn_id, heard.text, interrupted=heard.interrupted, estimated=self._guesses_words
        )
        ended = self._conversation.ended_by == turn_id
        assert self._actions is not None
        self._actions.speech_done(turn_id, ended=ended)

    @property
    def _guesses_words(self) -> bool:
        """Whether the voice does not tell when its words are heard."""
        voice = self._session.tts if self._session is not None else None
        return voice is not None and not voice.capabilities.aligned_transcript

    def _on_speech_created(self, event: SpeechCreatedEvent) -> None:
        if event.source == "generate_reply":
            event.speech_handle.add_done_callback(self._on_reply_done)

    def _on_reply_done(self, speech: SpeechHandle) -> None:
        """Apologises for an answer that failed; a failed guess at what was said is no answer."""
        error = speech.exception()
        if error is None or not speech.scheduled:
            return
        body = getattr(error, "body", None)
        code = str(body.get("code", "")) if isinstance(body, dict) else ""
        logger.warning("An answer failed: %s", code or type(error).__name__)
        counts.failed(code or "unknown")
        if self._settings.brain != "flow":
            self._apologise(self._settings.phrase_unreachable)
        elif code == "session_ended":
            self._end_call()
        else:
            self._apologise(phrase_for(code, self._settings))

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if isinstance(error, stt.STTError) and not error.recoverable:
            logger.warning("Speech could not be transcribed: %s", type(error.error).__name__)
            counts.failed("transcription")
            self._apologise(self._settings.phrase_repeat)
        elif isinstance(error, tts.TTSError) and not error.recoverable:
            logger.warning("Speech could not be synthesised: %s", type(error.error).__name__)
            counts.failed("synthesis")

    def _on_no_sound(self, speech: SpeechHandle) -> None:
        """The voice has fallen silent without an error: the next words get a new stream."""
        logger.warning("A voice gave no sound for its words")
        counts.failed("silence")
        if speech.done():
            return
        speech.interrupt(force=True)
        if speech is not self._apology:
            self._apologise(self._settings.phrase_failed)

    def _on_unintelligible(self, event: UserTranscriptionTimeoutEvent) -> None:
        over = self._listening is not None and self._listening.speaks_over
        if not over and event.speech_duration >= self._settings.repeat_after_s:
            self._apologise(self._settings.phrase_repeat)

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason is CloseReason.PARTICIPANT_DISCONNECTED:
            self._own(self._leave())
        else:
            self._ctx.shutdown(event.reason.value)

    async def _leave(self) -> None:
        """Leaves a room that the caller has left.

        LiveKit keeps an empty room for a while, and would let the same caller in again without an
        agent: it sends one to new rooms only.
        """
        if self._voice is not None:
            await self._voice.aclose()
        if self._settings.hang_up == "delete_room" and not people(self._ctx.room):
            await self._ctx.delete_room()
        self._ctx.shutdown("the caller has left")

    def _end_call(self, reason: str = "the flow has ended", *, leave: bool = False) -> None:
        if not self._hanging_up:
            self._hanging_up = True
            self._own(self._hang_up(reason, leave or self._settings.hang_up == "leave"))

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, waterfall: Waterfall) -> None:
        """Sends it to the room, for those who look at the call."""
        try:
            await self._ctx.room.local_participant.publish_data(waterfall.as_json(), topic=TOPIC)
        except (rtc.participant.PublishDataError, RuntimeError):
            # The room is closing: nobody looks any more.
            logger.debug("A waterfall could not be sent")

    async def _hang_up(self, reason: str, leave: bool) -> None:
        """Lets what is being said end, then closes or leaves the room."""
        assert self._session is not None
        await self._session.drain()
        # What is still on its way to the room gets there first.
        if others := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=1.0)
        if self._voice is not None:
            await self._voice.aclose()
        if not leave:
            await close_room(self._ctx)
        self._ctx.shutdown(reason)
