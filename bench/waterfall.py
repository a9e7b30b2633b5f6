"""Where the time of the turns went, as a table with bars."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

BAR_CELLS = 40


def waterfall_table(waterfalls: Sequence[dict[str, Any]]) -> Table:
    """Medians of each stage over the turns, in milliseconds from the end of speech.

    Args:
        waterfalls: As the worker sends them on the topic `parley.waterfall`.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for waterfall in waterfalls:
        for stage in waterfall["stages"]:
            spans.setdefault(stage["name"], []).append((stage["start_ms"], stage["end_ms"]))
    medians = [
        (
            name,
            statistics.median(start for start, _ in times),
            statistics.median(end for _, end in times),
            len(times),
        )
        for name, times in spans.items()
    ]
    medians.sort(key=lambda stage: (stage[1], stage[2]))
    first = min([0.0, *(start for _, start, _, _ in medians)])
    last = max([first + 1.0, *(end for _, _, end, _ in medians)])
    table = Table(title=f"Where the time went, medians of {len(waterfalls)} turns")
    table.add_column("stage")
    for column in ("from", "to", "turns"):
        table.add_column(column, justify="right")
    table.add_column("", no_wrap=True, min_width=BAR_CELLS)
    for name, start, end, count in medians:
        table.add_row(
            name, f"{start:.0f} ms", f"{end:.0f} ms", str(count), bar(start, end, first, last)
        )
    wasted = sum(waterfall.get("wasted", 0) for waterfall in waterfalls)
    table.caption = f"{wasted} answers begun on a wrong guess at the transcript"
    return table


def bar(start: float, end: float, first: float, last: float) -> str:
    """`start` to `end` on a scale from `first` to `last`; one cell at least."""
    scale = BAR_CELLS / (last - first)
    before = min(BAR_CELLS - 1, round((start - first) * scale))
    return " " * before + "█" * max(1, round((end - first) * scale) - before)
