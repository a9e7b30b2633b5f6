"""A session with a voice that falls silent, without a room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit import rtc
from livekit.agents import AgentSession, APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import SpeechHandle, io

from agent_worker.conversation import Conversation
from agent_worker.flow_agent import FlowAgent
from agent_worker.flow_executor import FlowExecutor
from agent_worker.sound_watch import SoundWatch
from plugins import flow_llm
from tests.scripted_backend import ScriptedBackend

RATE_HZ = 24_000


class Stuck(tts.TTS[str]):
    """Gives a second of sound, and then nothing more."""

    def __init__(self) -> None:
        capabilities = tts.TTSCapabilities(streaming=True)
        super().__init__(capabilities=capabilities, sample_rate=RATE_HZ, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _StuckStream(tts=self, conn_options=conn_options)


class _StuckStream(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="stuck",
            sample_rate=RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id="stuck")
        async for _ in self._input_ch:
            pass
        self._mark_started()
        output_emitter.push(bytes(2 * RATE_HZ))
        await asyncio.Event().wait()


class Loudspeaker(io.AudioOutput):
    def __init__(self) -> None:
        super().__init__(label="test", capabilities=io.AudioOutputCapabilities(pause=False))
        self._segment_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._segment_s += frame.duration

    def flush(self) -> None:
        super().flush()

    def clear_buffer(self) -> None:
        if self._segment_s:
            self.on_playback_finished(playback_position=self._segment_s, interrupted=True)
            self._segment_s = 0.0


async def test_a_speech_without_sound_is_noticed_and_ended() -> None:
    silent: asyncio.Queue[SpeechHandle] = asyncio.Queue()

    def end(speech: SpeechHandle) -> None:
        speech.interrupt(force=True)
        silent.put_nowait(speech)

    async with (
        ScriptedBackend().serve() as backend,
        FlowExecutor("f", backend_url=backend.url) as executor,
    ):
        conversation = Conversation(executor)
        session: AgentSession[None] = AgentSession(
            llm=flow_llm.LLM(conversation, flow_id="f"), tts=Stuck(), tts_text_transforms=None
        )
        session.output.audio = Loudspeaker()
        agent = FlowAgent(
            on_reply=lambda turn_id, speech: None,
            transcribed=lambda event: event,
            on_text=lambda *_: None,
            on_silence=end,
            silent_s=0.2,
        )
        await session.start(agent, record=False, session_host=False)
        asked = session.generate_reply(user_input="Hello?")
        async with asyncio.timeout(15):
            assert await silent.get() is asked
            await asked
        assert asked.interrupted
        await session.aclose()
        await conversation.aclose()


@pytest.mark.parametrize("text", ["", " …! "])
async def test_where_nothing_is_to_be_said_silence_is_right(text: str) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield text

    watch = SoundWatch(lambda: pytest.fail("there is nothing to say"), silent_s=0.0)
    async for _ in watch.text(pieces()):
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_sound_and_the_end_of_a_speech_are_no_silence() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Hello."

    noticed: list[None] = []
    watch = SoundWatch(lambda: noticed.append(None), silent_s=0.05)
    async for _ in watch.text(pieces()):
        pass
    watch.sounded()
    watch.close()
    await asyncio.sleep(0.1)
    assert not noticed
