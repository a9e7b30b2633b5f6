"""Providers that stand in for one another: their order, and what is said when all have failed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from protocol.errors import ParleyError, SpeechError

COOLDOWN_S = 30.0
"""For so long a provider that failed stands last; a longer `Retry-After` counts."""


P = TypeVar("P")


@dataclass(slots=True)
class Member(Generic[P]):
    """One provider of a chain."""

    provider: P
    """Not owned."""
    choice: str | None = None
    """Its voice or its language, where the setting names one."""
    rests_until_s: float = 0.0
    """On the clock `time.monotonic`."""


class Chain(Generic[P]):
    """Members in the order in which they are to be tried.

    Raises:
        ValueError: Without any member.
    """

    def __init__(self, members: Sequence[Member[P]]) -> None:
        if not members:
            raise ValueError("a chain needs a provider")
        self.members = list(members)

    def in_order(self) -> list[Member[P]]:
        """Those that are well before those that rest, else as given."""
        now_s = time.monotonic()
        return sorted(self.members, key=lambda member: member.rests_until_s > now_s)

    def failed(self, member: Member[P], error: ParleyError) -> None:
        """Lets a member rest.

        Raises:
            ParleyError: The error itself, where the caller is to blame and no other could help.
        """
        if isinstance(error, SpeechError) and error.wire.http_status < 500:
            raise error
        wait_s = max(COOLDOWN_S, error.retry_after_s or 0.0)
        member.rests_until_s = time.monotonic() + wait_s

    @staticmethod
    def well(member: Member[P]) -> None:
        """A member did its work."""
        member.rests_until_s = 0.0


def all_failed(failures: Sequence[ParleyError]) -> ParleyError:
    """One error for several: the first's code, and what each said."""
    first = failures[0]
    if len(failures) == 1:
        return first
    return type(first)(
        first.code,
        " ".join(failure.message for failure in failures),
        retryable=any(failure.retryable for failure in failures),
    )


def references(setting: str) -> list[tuple[str, str | None]]:
    """`openai/nova, piper` as pairs of a name and what stands behind its slash."""
    parts = (part.strip().partition("/") for part in setting.split(","))
    return [(name, choice or None) for name, _, choice in parts if name]
