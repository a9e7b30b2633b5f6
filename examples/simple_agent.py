"""A LiveKit agent without a flow: every sentence is spoken as soon as the model has written it.

Start the stack without its own worker, `make run ARGS="--without worker"`; then, in a second
terminal, with the LiveKit key pair that the first start has put into `.env`:

    set -a; . ./.env; set +a
    LIVEKIT_URL=ws://127.0.0.1:7880 OPENAI_API_KEY=… .venv/bin/python examples/simple_agent.py dev

Speak with it from a third one: `.venv/bin/parley call`. `OPENAI_BASE_URL` and `OPENAI_MODEL` choose
another OpenAI-compatible model, such as the embedded one at `http://127.0.0.1:8090/v1`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    StopResponse,
    cli,
    inference,
    llm,
)
from livekit.agents.voice import SpeechHandle
from livekit.plugins import openai

from agent_worker.streaming_buffer import stream_with_sentences
from plugins import moonshine_stt, piper_tts


class SimpleAgent(Agent):
    """Answers each turn of the user with the session's model."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a voice assistant. Answer in a few short sentences.")

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Speaks the answer, then remembers it as one message."""
        turn_ctx.items.append(new_message)
        spoken: list[SpeechHandle] = []

        def speak(sentence: str) -> None:
            spoken.append(
                self.session.say(sentence, allow_interruptions=True, add_to_chat_ctx=False)
            )

        answer = await stream_with_sentences(self._tokens(turn_ctx, spoken), speak)
        turn_ctx.add_message(role="assistant", content=answer)
        await self.update_chat_ctx(turn_ctx)
        # LiveKit would now generate an answer of its own.
        raise StopResponse

    async def _tokens(
        self, turn_ctx: llm.ChatContext, spoken: list[SpeechHandle]
    ) -> AsyncIterator[str]:
        """The model's tokens, until the user interrupts."""
        assert isinstance(self.session.llm, llm.LLM)
        async with self.session.llm.chat(chat_ctx=turn_ctx) as stream:
            async for chunk in stream:
                if any(handle.interrupted for handle in spoken):
                    return
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content


CALLS = 2
"""At once. LiveKit goes by the load of the cores, and refuses the only caller of a busy machine."""

server = AgentServer(load_fnc=lambda worker: len(worker.active_jobs) / CALLS, load_threshold=1.0)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Joins a room with everything local but the model."""
    session = AgentSession[None](
        stt=moonshine_stt.STT(),
        vad=inference.VAD(min_silence_duration=0.25),
        llm=openai.LLM(model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini")),
        tts=piper_tts.TTS(),
        turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}},
        tts_text_transforms=None,
    )
    await session.start(SimpleAgent(), room=ctx.room, record=False, session_host=False)


if __name__ == "__main__":
    cli.run_app(server)
