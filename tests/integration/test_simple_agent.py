"""The example of a simple agent, run by LiveKit's session without a room."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    AgentSession,
    APIConnectOptions,
    LanguageCode,
    llm,
    stt,
    tts,
)
from livekit.agents.voice import io

from plugins import piper_tts
from speech.piper import PiperEngine

EXAMPLE = Path(__file__).parents[2] / "examples" / "simple_agent.py"
QUESTION = "Tell me about the sea."
SENTENCES = [
    "The sea is deep and very salty.",
    "Dr. Hall says that it covers 71.5 percent of the planet.",
    "Shall I go on?",
]
RATE_HZ = 22_050


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simple_agent", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ScriptedLLM(llm.LLM[Any]):
    """Writes the answer in tokens of five characters; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **kwargs: Any,
    ) -> ScriptedStream:
        self.asked.append(chat_ctx.messages()[-1].text_content or "")
        return ScriptedStream(self, chat_ctx=chat_ctx, tools=[], conn_options=conn_options)


class ScriptedStream(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedLLM)
        text = " ".join(SENTENCES)
        for begin in range(0, len(text), 5):
            delta = llm.ChoiceDelta(role="assistant", content=text[begin : begin + 5])
            self._event_ch.send_nowait(llm.ChatChunk(id="answer", delta=delta))
            if self._llm.gate is not None and begin > len(SENTENCES[0]) + 5:
                await self._llm.gate.wait()


class BeepTTS(tts.TTS[Any]):
    """A tenth of a second of sound for each text; keeps the texts."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=RATE_HZ,
            num_channels=1,
        )
        self.said: list[str] = []
        self.changed = asyncio.Event()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> Beep:
        self.said.append(text)
        self.changed.set()
        return Beep(tts=self, input_text=text, conn_options=conn_options)


class Beep(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="beep", sample_rate=RATE_HZ, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(b"\1\0" * (RATE_HZ // 10))
        output_emitter.flush()


class OneQuestionSTT(stt.STT[Any]):
    """Hears the question in the first frame that comes, whatever is in it."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, **kwargs: Any) -> OneQuestionStream:
        return OneQuestionStream(stt=self, conn_options=DEFAULT_API_CONNECT_OPTIONS)


class OneQuestionStream(stt.RecognizeStream):
    async def _run(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                break
        heard = stt.SpeechData(language=LanguageCode("en"), text=QUESTION)
        kinds = stt.SpeechEventType
        for kind in (kinds.START_OF_SPEECH, kinds.FINAL_TRANSCRIPT, kinds.END_OF_SPEECH):
            alternatives = [heard] if kind is kinds.FINAL_TRANSCRIPT else []
            self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=alternatives))
        async for _ in self._input_ch:
            pass


class Microphone(io.AudioInput):
    """Two frames of silence, then nothing."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames = 2

    async def __anext__(self) -> rtc.AudioFrame:
        if self._frames == 0:
            await asyncio.Event().wait()
        self._frames -= 1
        return rtc.AudioFrame(b"\0" * 640, 16_000, 1, 320)


class Loudspeaker(io.AudioOutput):
    """Takes sound at once, and has played it as soon as it has it."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self.played_s = 0.0
        self._segment_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._segment_s += frame.duration

    def flush(self) -> None:
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        if self._segment_s:
            self.played_s += self._segment_s
            self.on_playback_finished(playback_position=self._segment_s, interrupted=interrupted)
            self._segment_s = 0.0


def new_session(model: ScriptedLLM, voice: tts.TTS[Any]) -> tuple[AgentSession[None], Loudspeaker]:
    session = AgentSession[None](
        stt=OneQuestionSTT(),
        vad=None,
        llm=model,
        tts=voice,
        turn_handling={"turn_detection": "stt"},
        tts_text_transforms=None,
    )
    loudspeaker = Loudspeaker()
    session.input.audio = Microphone()
    session.output.audio = loudspeaker
    return session, loudspeaker


async def answer_in(agent: Any) -> str:
    """The assistant's message, once it is in the agent's context."""
    remembered = asyncio.Event()
    update = agent.update_chat_ctx

    async def update_and_tell(chat_ctx: llm.ChatContext, **kwargs: Any) -> None:
        await update(chat_ctx, **kwargs)
        remembered.set()

    agent.update_chat_ctx = update_and_tell
    await remembered.wait()
    return str(agent.chat_ctx.messages()[-1].text_content)


async def test_every_sentence_is_said_and_the_answer_is_remembered() -> None:
    agent = load_example().SimpleAgent()
    model, voice = ScriptedLLM(), BeepTTS()
    session, _ = new_session(model, voice)
    async with session:
        remembering = asyncio.create_task(answer_in(agent))
        await session.start(agent, record=False)
        assert await remembering == " ".join(SENTENCES)
        while len(voice.said) < len(SENTENCES):
            voice.changed.clear()
            await voice.changed.wait()
    assert model.asked == [QUESTION]
    assert voice.said == SENTENCES
    roles = [message.role for message in agent.chat_ctx.messages()]
    assert roles[-2:] == ["user", "assistant"]


async def test_the_first_sentence_is_said_before_the_answer_is_written() -> None:
    agent = load_example().SimpleAgent()
    model, voice = ScriptedLLM(), BeepTTS()
    model.gate = asyncio.Event()
    session, _ = new_session(model, voice)
    async with session:
        remembering = asyncio.create_task(answer_in(agent))
        await session.start(agent, record=False)
        await voice.changed.wait()
        assert voice.said == SENTENCES[:1]
        model.gate.set()
        assert await remembering == " ".join(SENTENCES)


async def test_with_the_real_voice(tmp_path_factory: pytest.TempPathFactory) -> None:
    agent = load_example().SimpleAgent()
    cache_dir = tmp_path_factory.getbasetemp() / "piper-cache"
    async with PiperEngine(threads=2, cache_dir=cache_dir) as engine:
        session, loudspeaker = new_session(ScriptedLLM(), piper_tts.TTS(engine=engine))
        async with session:
            remembering = asyncio.create_task(answer_in(agent))
            await session.start(agent, record=False)
            await remembering
            speech = session.current_speech
            if speech is not None:
                await speech.wait_for_playout()
            await session.drain()
        assert loudspeaker.played_s > 4
