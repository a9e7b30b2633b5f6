"""What was heard of an answer is the same for the room, LiveKit's context and the backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import ClassVar

import numpy as np
import pytest
from livekit.agents import AgentSession, llm
from livekit.agents.voice import SpeechHandle, io

from agent_worker.conversation import Conversation
from agent_worker.flow_agent import FlowAgent
from agent_worker.flow_executor import FlowExecutor
from agent_worker.heard import Heard
from agent_worker.room_voice import RATE_HZ, RoomVoice
from agent_worker.room_words import RoomWords
from plugins import flow_llm, provider_speech
from speech.chunk import SpeechChunk, WordTiming
from speech.tts import TTSProvider
from speech.tts.base import Voice
from tests.integration.backend_server import serve_backend
from tests.room_track import RoomTrack

ANSWER = "One two three four five. Six seven eight nine ten."
LONG_ANSWER = f"{ANSWER} {'And so on for a good while longer. ' * 4}".strip()
"""Nobody who cuts it in its first half comes too late."""
WORD_S = 0.12


class Metronome(TTSProvider):
    """Every word takes `WORD_S`."""

    name: ClassVar[str] = "metronome"
    label: ClassVar[str] = "Metronome"
    has_word_timings: ClassVar[bool] = True
    native_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.may_speak = asyncio.Event()
        self.asked = asyncio.Event()

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.asked.set()
        await self.may_speak.wait()
        at = 0
        for number, word in enumerate(text.split()):
            at = text.index(word, at) + len(word)
            start_s = number * WORD_S
            timing = WordTiming(word, start_s, start_s + WORD_S, at - len(word), at)
            words = (timing,) if self.has_word_timings else ()
            samples = np.full(round(RATE_HZ * WORD_S), 1000, np.int16)
            yield SpeechChunk(samples, RATE_HZ, words, False)
        yield SpeechChunk(np.zeros(0, np.int16), RATE_HZ, (), True)

    async def voices(self) -> list[Voice]:
        return []


class Guessed(Metronome):
    """Does not tell when."""

    name: ClassVar[str] = "guessed"
    has_word_timings: ClassVar[bool] = False


class RoomText(io.TextOutput):
    """What the room reads, as it comes."""

    def __init__(self) -> None:
        super().__init__(label="room", next_in_chain=None)
        self.text = ""
        self._changed = asyncio.Condition()

    async def capture_text(self, text: str) -> None:
        async with self._changed:
            self.text += text
            self._changed.notify_all()

    def flush(self) -> None:
        pass

    async def until_it_has(self, word: str) -> None:
        """Waits for a word."""
        async with self._changed:
            await self._changed.wait_for(lambda: word in self.text)


async def heard(
    voice: Metronome, answer: str, cut_at: str | None, pause_at: str | None = None
) -> tuple[str, str, str, bool]:
    """Cuts the answer when the room reads a word, or before there is sound.

    Gives the texts of the room, LiveKit's chat context and the backend's history, and whether the
    history says that it was cut.
    """
    ended: asyncio.Queue[SpeechHandle] = asyncio.Queue()
    async with (
        serve_backend([answer]) as backend,
        FlowExecutor("default", backend_url=backend.url) as executor,
    ):
        opened = await executor.open_session()
        conversation = Conversation(executor)

        def on_reply(turn_id: str, speech: SpeechHandle) -> None:
            def done(speech: SpeechHandle) -> None:
                played = Heard.of(speech)
                conversation.heard(turn_id, played.text, interrupted=played.interrupted)
                ended.put_nowait(speech)

            conversation.commit(turn_id)
            speech.add_done_callback(done)

        session: AgentSession[None] = AgentSession(
            llm=flow_llm.LLM(conversation, flow_id="default"),
            tts=provider_speech.TTS(voice),
            tts_text_transforms=None,
            use_tts_aligned_transcript=True,
        )
        track, text = RoomTrack(), RoomText()
        out = RoomVoice(track)  # type: ignore[arg-type]
        out.start()
        words = out.words = RoomWords(text)
        session.output.audio, session.output.transcription = out, words
        agent = FlowAgent(
            on_reply=on_reply,
            transcribed=lambda event: event,
            on_text=lambda *_: None,
            on_silence=lambda _: None,
        )
        await session.start(agent, record=False, session_host=False)
        session.generate_reply(user_input="Count.")
        await voice.asked.wait()
        if cut_at is None:
            await session.interrupt()
        voice.may_speak.set()
        if pause_at is not None:
            await text.until_it_has(pause_at)
            out.pause()
            await asyncio.sleep(2 * WORD_S)
            out.resume()
        if cut_at is not None:
            await text.until_it_has(cut_at)
            await session.interrupt()
        await ended.get()
        context = "".join(
            item.text_content or ""
            for item in session.history.items
            if isinstance(item, llm.ChatMessage) and item.role == "assistant"
        )
        await session.aclose()
        await out.aclose()
        await words.aclose()
        await conversation.aclose()
        state = await backend.state(opened.session_id, flow="default")
    entry = state["transcript"][-1]
    assert entry["role"] == "assistant"
    return text.text, context, entry["text"], entry["interrupted"]


@pytest.mark.parametrize("make", [Metronome, Guessed])
@pytest.mark.parametrize(
    ("cut_at", "pause_at"),
    [(None, None), ("One", None), ("five.", None), ("Six", None), ("eight", "three")],
    ids=["nothing heard", "first word", "between sentences", "next sentence", "after a pause"],
)
async def test_all_three_have_the_words_that_were_heard(
    make: Callable[[], Metronome], cut_at: str | None, pause_at: str | None
) -> None:
    room, context, history, interrupted = await heard(make(), LONG_ANSWER, cut_at, pause_at)
    assert room.strip() == context.strip() == history.strip()
    assert LONG_ANSWER.startswith(history.strip())
    assert interrupted
    assert (history == "") == (cut_at is None)


@pytest.mark.parametrize("make", [Metronome, Guessed])
async def test_a_cut_at_the_last_word_leaves_the_same_in_all_three(
    make: Callable[[], Metronome],
) -> None:
    room, context, history, _ = await heard(make(), ANSWER, "ten")
    assert room.strip() == context.strip() == history.strip()
    assert history.strip() in (ANSWER, ANSWER.removesuffix(" ten."))
