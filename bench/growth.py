"""Whether a process grows: looks at it from time to time, and the slope of what they saw."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import numpy as np
import psutil
from prometheus_client.parser import text_string_to_metric_families

UNIT_S = 600.0
"""Slopes are for ten minutes."""
LEAST = 6.0
"""Independent looks from which something can be said."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a process held at one moment."""

    at_s: float
    memory_mb: float
    """Its own, shared pages left out, with what the allocators hold free."""
    heap_mb: float
    """What malloc has given out."""
    objects_k: float
    """Python's small objects, in thousands."""
    threads: int
    files: int
    tasks: int
    """Of asyncio, in the event loop that lives as long as the process."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How something changed in ten minutes, by a straight line through what was seen."""

    first: float
    last: float
    slope: float
    error: float
    """The slope's standard error; infinite where too little was seen."""
    independent: float
    """Looks that the series is worth: what follows from what was there before counts for less."""

    @property
    def interval(self) -> tuple[float, float]:
        """Where the slope is, in 95 of 100 such measurements."""
        # Student's t, within 1 % of the table from four degrees of freedom on.
        freedom = max(self.independent - 2, 1)
        away = (1.96 + 2.4 / freedom + 3.3 / freedom**2) * self.error
        return self.slope - away, self.slope + away

    @property
    def grows(self) -> bool | None:
        """Whether more than noise was added; None where nobody can tell."""
        if not math.isfinite(self.error):
            return None
        return self.interval[0] > 0

    @property
    def verdict(self) -> str:
        """In words."""
        if self.grows is None:
            return "cannot be told: too few independent looks"
        least, most = self.interval
        if self.grows:
            return f"grows by {least:.1f} to {most:.1f}"
        return "flat within noise" if most >= 0 else "shrinks"


def growth(at_s: Sequence[float], values: Sequence[float]) -> Growth:
    """The slope of a series, and how sure it is.

    Neighbours in a series of a process's memory are alike, so that a plain standard error is far
    too small. As many looks are counted as the series is worth, by the correlation of neighbouring
    residuals (Santer et al. 2000, doi:10.1029/1999JD901105).
    """
    n = len(values)
    if n < LEAST:
        return Growth(values[0] if n else 0.0, values[-1] if n else 0.0, 0.0, math.inf, n)
    at, seen = np.asarray(at_s) / UNIT_S, np.asarray(values, dtype=np.float64)
    away = at - at.mean()
    spread = float((away**2).sum())
    # No process grows by less than a byte: what is less is rounding.
    slope = round(float((away * (seen - seen.mean())).sum()) / spread, 6)
    residuals = seen - seen.mean() - slope * away
    squares = round(float((residuals**2).sum()), 9)
    alike = float((residuals[1:] * residuals[:-1]).sum()) / squares if squares else 0.0
    independent = n * (1 - max(alike, 0.0)) / (1 + max(alike, 0.0))
    error = math.inf
    if independent >= LEAST:
        error = math.sqrt(squares / (independent - 2) / spread)
    return Growth(float(seen[0]), float(seen[-1]), slope, error, independent)


async def look(pid: int, metrics_url: str, at_s: float) -> Look | None:
    """Looks at a process and at the metrics that it serves; None if it is not to be seen now."""
    with contextlib.suppress(psutil.NoSuchProcess, httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            told = (await client.get(metrics_url)).text
        figures = {
            sample.name: sample.value
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }
        process = psutil.Process(pid)
        return Look(
            at_s,
            process.memory_full_info().uss / 1e6,
            figures["parley_heap_used_bytes"] / 1e6,
            figures["parley_python_small_objects"] / 1e3,
            process.num_threads(),
            process.num_fds(),
            int(figures["parley_asyncio_tasks"]),
        )
    return None
