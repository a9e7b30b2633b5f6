"""What a caller heard of a speech that is over."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.agents import llm
from livekit.agents.voice import SpeechHandle


@dataclass(frozen=True, slots=True)
class Heard:
    """One speech.

    Attributes:
        text: The words that were played.
        interrupted: It was cut off, or failed.
        metrics: LiveKit's, of its first part.
    """

    text: str
    interrupted: bool
    metrics: llm.MetricsReport

    @classmethod
    def of(cls, speech: SpeechHandle) -> Heard:
        """By the messages that it left in the chat context: none if nothing was heard."""
        answers = [item for item in speech.chat_items if isinstance(item, llm.ChatMessage)]
        cut = speech.interrupted or speech.exception() is not None
        return cls(
            text="".join(answer.text_content or "" for answer in answers),
            interrupted=cut or any(answer.interrupted for answer in answers),
            metrics=answers[0].metrics if answers else llm.MetricsReport(),
        )
