"""What a model is asked about a lesson: corrections, summaries and words to learn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from flow_backend.llm.base import GenerationParams, LLMProvider, Message
from flow_backend.store.conversations import Card, Conversation, StoredMessage
from protocol.errors import ParleyError

ShapeT = TypeVar("ShapeT", bound=BaseModel)

_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
_WORD = re.compile(r"[^\W\d_]{6,30}")
_SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*")
CARDS_PER_ANSWER = 3
SUMMARY_CHARS = 2000


class Correction(BaseModel):
    """One mistake of the user's and how it is said instead."""

    original: str = Field(min_length=1, max_length=500)
    """As the user wrote it."""
    corrected: str = Field(max_length=500)
    explanation: str = Field(default="", max_length=500)


class _Corrections(BaseModel):
    corrections: list[Correction] = Field(max_length=20)


class _Word(BaseModel):
    word: str = Field(min_length=1, max_length=100)
    translation: str | None = Field(default=None, max_length=200)
    example: str = Field(default="", max_length=500)

    @field_validator("*", mode="before")
    @classmethod
    def _is_storable(cls, value: Any) -> Any:
        """JSON may name the one character that PostgreSQL cannot keep."""
        return value.replace("\0", "") if isinstance(value, str) else value


class _Words(BaseModel):
    words: list[_Word] = Field(max_length=20)


def instructions(conversation: Conversation) -> str:
    """Who the tutor is in this conversation."""
    return (
        f"You are a friendly tutor of {conversation.language}. The student's level is "
        f"{conversation.difficulty_level} (CEFR). Talk with the student in "
        f"{conversation.language}, in words and grammar of that level, in one to four short "
        "sentences, with no lists, markdown or emoji. End with a question that keeps the "
        "conversation going. Mistakes are corrected elsewhere: do not correct them."
    )


async def corrections(
    provider: LLMProvider, conversation: Conversation, text: str
) -> list[Correction]:
    """Mistakes in what the user wrote; none where the model gives nothing usable.

    A correction of words that the user did not write, or that changes nothing, is dropped.
    """
    system = (
        f"You correct a student's {conversation.language} (level "
        f"{conversation.difficulty_level}). Answer with one JSON object "
        '{"corrections": [{"original": …, "corrected": …, "explanation": …}]}: `original` is '
        "copied from the student's text, `explanation` is one short English sentence. No "
        "mistakes: an empty list."
    )
    found = await _asked(provider, system, text, _Corrections, "corrections")
    if found is None:
        return []
    return [
        each
        for each in found.corrections
        if each.original in text and each.corrected.strip() != each.original.strip()
    ]


async def summary(
    provider: LLMProvider, conversation: Conversation, messages: Sequence[StoredMessage]
) -> str:
    """The summary so far and these messages, as one.

    Raises:
        ProviderError: If the model fails.
    """
    talk = "\n".join(
        f"{'Student' if message.role == 'user' else 'Tutor'}: {message.text}"
        for message in messages
    )
    before = f"Summary so far: {conversation.summary}\n\n" if conversation.summary else ""
    system = (
        "Summarise this lesson for the tutor in at most 120 words: topics, what the student said "
        "about themselves, what they find hard. Write the summary alone."
    )
    answer = await provider.complete(
        [Message("system", system), Message("user", f"{before}{talk}")],
        GenerationParams(temperature=0.0, max_tokens=300, purpose="summary"),
    )
    return answer.text.strip()[:SUMMARY_CHARS]


async def words(
    provider: LLMProvider, conversation: Conversation, answer: str, known: Iterable[str]
) -> list[Card]:
    """Words of the tutor's answer worth learning, without the ones that have cards.

    A model that is too small for the task is not asked: the longest new words are taken then,
    without translations.
    """
    known = {word.casefold() for word in known}
    if not provider.supports_tools:
        return _long_words(answer, known)
    system = (
        f"Choose at most {CARDS_PER_ANSWER} words of this {conversation.language} text that a "
        f"student of level {conversation.difficulty_level} should learn. Answer with one JSON "
        'object {"words": [{"word": …, "translation": …, "example": …}]}: the word in its base '
        "form, its English translation, and the sentence of the text."
    )
    found = await _asked(provider, system, answer, _Words, "vocabulary")
    if found is None:
        return []
    cards = {
        word.word.casefold(): Card(word.word, word.translation, word.example or answer[:500])
        for word in found.words
        if word.word.casefold() not in known
    }
    return list(cards.values())[:CARDS_PER_ANSWER]


def _long_words(answer: str, known: set[str]) -> list[Card]:
    cards: dict[str, Card] = {}
    for sentence in _SENTENCE.findall(answer):
        for word in _WORD.findall(sentence):
            if word.casefold() not in known and (word.islower() or not word.isascii()):
                cards.setdefault(word.casefold(), Card(word, None, sentence.strip()[:500]))
    longest = sorted(cards.values(), key=lambda card: -len(card.word))
    return longest[:CARDS_PER_ANSWER]


async def _asked(
    provider: LLMProvider, system: str, text: str, shape: type[ShapeT], purpose: str
) -> ShapeT | None:
    params = GenerationParams(
        temperature=0.0, max_tokens=500, json_schema=shape.model_json_schema(), purpose=purpose
    )
    try:
        answer = await provider.complete([Message("system", system), Message("user", text)], params)
        return shape.model_validate_json(_FENCE.sub("", answer.text))
    except (ParleyError, ValidationError):
        return None
