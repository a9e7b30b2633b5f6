"""LiveKit's agent as we use it: it answers by the flow, and shows the call what passes through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Any

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, stt
from livekit.agents.types import TimedString
from livekit.agents.utils import is_given
from livekit.agents.voice import SpeechHandle

# LiveKit runs a reply's nodes in a context that knows its speech, and has no public name for it;
# nothing else ties a speech that nobody heard to its turn.
from livekit.agents.voice.agent_activity import _SpeechHandleContextVar

from agent_worker.sound_watch import SILENT_S, SoundWatch
from plugins.flow_llm.llm import last_user_message

OnReply = Callable[[str, SpeechHandle], None]
"""Called with the id of the user's message and the speech that is to answer it."""
Transcribed = Callable[[stt.SpeechEvent], stt.SpeechEvent | None]
"""Gives what the session is to see in the place of an event of the transcription."""
OnText = Callable[[str, str, float | None], None]
"""Called with a speech's id, a piece of its text and the seconds into it, if they are known."""


class FlowAgent(Agent):
    """Answers by the flow.

    Args:
        on_reply: Told which speech belongs to which turn, before the flow is asked.
        transcribed: Sees the transcription before the session does.
        on_text: Told the words of each speech before they are heard.
        on_silence: Told a speech whose words are all written and for which no sound comes.
        silent_s: How long that is waited for.
    """

    def __init__(
        self,
        *,
        on_reply: OnReply,
        transcribed: Transcribed,
        on_text: OnText,
        on_silence: Callable[[SpeechHandle], None],
        silent_s: float = SILENT_S,
    ) -> None:
        super().__init__(instructions="")
        self._on_silence = on_silence
        self._silent_s = silent_s
        self._on_reply = on_reply
        self._transcribed = transcribed
        self._on_text = on_text

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[stt.SpeechEvent, None]:
        """Transcribes; the call may take words away."""
        async with aclosing(Agent.default.stt_node(self, audio, model_settings)) as events:
            async for event in events:
                shown = self._transcribed(event)
                if shown is not None:
                    yield shown

    def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> Any:
        """Asks the flow."""
        message = last_user_message(chat_ctx)
        handle = _SpeechHandleContextVar.get(None)
        if message is not None and handle is not None:
            self._on_reply(message.id, handle)
        return Agent.default.llm_node(self, chat_ctx, tools, model_settings)

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Speaks, and notices when no sound comes of it."""
        handle = _SpeechHandleContextVar.get(None)
        watch = SoundWatch(
            lambda: self._on_silence(handle) if handle is not None else None, self._silent_s
        )
        try:
            voice = Agent.default.tts_node(self, watch.text(text), model_settings)
            async with aclosing(voice) as frames:
                async for frame in frames:
                    watch.sounded()
                    yield frame
        finally:
            watch.close()

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncGenerator[str | TimedString, None]:
        """Passes the words on, and notes whose they are and when they are played."""
        handle = _SpeechHandleContextVar.get(None)
        async for piece in text:
            if handle is not None:
                self._on_text(handle.id, str(piece), _start_s(piece))
            yield piece


def _start_s(piece: str | TimedString) -> float | None:
    if isinstance(piece, TimedString) and is_given(piece.start_time):
        return piece.start_time
    return None
