"""How long calls usually take, and when it is worth it to say something meanwhile.

A filler is worth it where a silence would be felt, and not where it would only delay an answer
that is about to come.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from statistics import median

MIN_CALLS = 3
"""So many calls must have ended before their durations count."""
KEPT_CALLS = 9
"""The last calls of a node, of which the median is the usual duration."""
KEPT_NODES = 10_000
"""Nodes that were not called for longest are forgotten first."""
SPOKEN_MS = 1500.0
"""A filler and what it takes to say it: of a call that takes so much longer than the silence which
is borne, something is said at once."""
LATE = 1.5
"""A call that takes so many times its usual duration may take any time."""


class UsualDurations:
    """Durations of the calls of each node, learned while they are made; of one process."""

    def __init__(self) -> None:
        self._last_ms: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def took(self, flow_id: str, node_id: str, duration_ms: float) -> None:
        """A call has ended, well or not."""
        key = flow_id, node_id
        self._last_ms.setdefault(key, deque(maxlen=KEPT_CALLS)).append(duration_ms)
        self._last_ms.move_to_end(key)
        while len(self._last_ms) > KEPT_NODES:
            self._last_ms.popitem(last=False)

    def usual_ms(self, flow_id: str, node_id: str) -> float | None:
        """The median of the last calls; None while there are too few."""
        last_ms = self._last_ms.get((flow_id, node_id), ())
        return median(last_ms) if len(last_ms) >= MIN_CALLS else None


def filler_after_ms(silence_ms: float, usual_ms: float | None) -> float:
    """How long after the beginning of a call its filler is said, if the call goes on.

    Args:
        silence_ms: What silence is borne where nothing is known about the call.
        usual_ms: How long the call usually takes, if that is known.
    """
    if usual_ms is None:
        return silence_ms
    if usual_ms >= silence_ms + SPOKEN_MS:
        return 0.0
    return max(silence_ms, usual_ms * LATE)
