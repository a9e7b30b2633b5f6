"""What the worker counts (Prometheus); LiveKit serves it beside its own figures.

The stages are those of the waterfall; nodes have names that flows choose, and are left out.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from agent_worker.barge_in import Kind
from agent_worker.waterfall import Waterfall
from protocol.heap import heap, small_objects

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30)

ANSWER_S = Histogram(
    "parley_answer_seconds", "End of speech to the first sound of the answer.", buckets=_SECONDS
)
STAGE_S = Histogram(
    "parley_answer_stage_seconds",
    "End of speech to the end of each stage of an answer.",
    ["stage"],
    buckets=_SECONDS,
)
ANSWERS = Counter("parley_answers", "Answers that were spoken or begun.", ["outcome"])
OVERHEARD = Counter(
    "parley_overheard", "Speech over the agent that did not interrupt it, by kind.", ["kind"]
)
WASTED = Counter("parley_speculation_wasted", "Answers begun on a wrong guess and thrown away.")
WASTED_TOKENS = Counter("parley_speculation_wasted_tokens", "Tokens of such answers.")
FAILURES = Counter("parley_call_failures", "What went wrong in calls, by code.", ["code"])

TASKS = Gauge("parley_asyncio_tasks", "Tasks of the event loop that lives as long as the process.")
HEAP_USED = Gauge("parley_heap_used_bytes", "What malloc has given out (glibc).")
HEAP_USED.set_function(lambda: heap().used)
SMALL_OBJECTS = Gauge("parley_python_small_objects", "Python's blocks of up to 512 bytes.")
SMALL_OBJECTS.set_function(small_objects)
MODEL_LOAD_S = Gauge("parley_model_load_seconds", "What loading speech models took.", ["engine"])


def answered(waterfall: Waterfall) -> None:
    """Counts a turn that is over."""
    ANSWERS.labels("interrupted" if waterfall.interrupted else "whole").inc()
    WASTED.inc(waterfall.wasted)
    WASTED_TOKENS.inc(waterfall.wasted_tokens)
    for stage in waterfall.stages:
        if not stage.name.startswith("node "):
            STAGE_S.labels(stage.name).observe(max(0.0, stage.end_ms) / 1000)
        if stage.name == "played":
            ANSWER_S.observe(stage.end_ms / 1000)


def overheard(kind: Kind) -> None:
    """Counts speech over the agent that it talked on through."""
    OVERHEARD.labels(kind.value).inc()


def failed(code: str) -> None:
    """Counts something that the caller was told about, or should have been."""
    FAILURES.labels(code).inc()
