"""Keeps the history in prompts short: the newest entries whole, older ones as a summary."""

from __future__ import annotations

from collections.abc import Sequence

from flow_backend.engine.prompt import entry_text
from flow_backend.engine.state import Entry
from flow_backend.llm.base import GenerationParams, Message

WHOLE_ENTRIES = 6
"""The newest entries are never summarised: reports about them may still come."""
_SHARE = 0.75
"""Of the limit, from which old turns are summarised, so that the limit itself is rarely met."""
BACKLOG = 4
"""So many times the limit may wait for a summary; without one older entries are given up."""
PART_ENTRIES = 16
"""Fewer are not put away together."""
_PARAMS = GenerationParams(temperature=0.2, max_tokens=200, purpose="summary")


def tokens_of(text: str) -> int:
    """An estimate: four bytes a token, and four tokens a message."""
    return len(text.encode("utf-8", "replace")) // 4 + 4


def fitting(entries: Sequence[Entry], limit_tokens: int) -> list[Entry]:
    """The newest entries that fit into a limit; at least the last one."""
    left = limit_tokens
    chosen: list[Entry] = []
    for entry in reversed(entries):
        left -= tokens_of(entry.text)
        if left < 0 and chosen:
            break
        chosen.append(entry)
    return chosen[::-1]


def due(history: Sequence[Entry], summarised: int, limit_tokens: int) -> int:
    """How many entries from the start a new summary should stand for; 0 if none is due."""
    fresh = history[summarised:]
    if sum(tokens_of(entry.text) for entry in fresh) <= limit_tokens * _SHARE:
        return 0
    end = len(history) - WHOLE_ENTRIES
    return end if end > summarised else 0


def settled(history: Sequence[Entry], summarised: int, limit_tokens: int) -> int:
    """How many entries from the start no prompt and no summary will hold; 0 if they are few."""
    fresh = history[summarised:]
    end = summarised
    if sum(tokens_of(entry.text) for entry in fresh) > limit_tokens * BACKLOG:
        end = len(history) - len(fitting(fresh, limit_tokens))
    end = min(end, len(history) - WHOLE_ENTRIES)
    return end if end >= PART_ENTRIES else 0


def summary_request(
    summary: str, entries: Sequence[Entry]
) -> tuple[list[Message], GenerationParams]:
    """What to ask a model for a summary of an earlier summary and the entries after it."""
    lines = [f"Earlier: {summary}"] if summary else []
    lines += [
        f"{'User' if entry.role == 'user' else 'Agent'}: {text}"
        for entry in entries
        if (text := entry_text(entry))
    ]
    return [
        Message(
            "system",
            "Summarise this conversation in a few sentences for the agent who goes on with it. "
            "Keep names, numbers, dates, decisions and what was promised.",
        ),
        Message("user", "\n".join(lines)),
    ], _PARAMS
