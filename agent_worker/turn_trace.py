"""A turn's waterfall as a trace."""

from __future__ import annotations

from agent_worker.waterfall import Waterfall
from protocol.tracing import SpanIds, Tracing


def send_trace(tracing: Tracing, waterfall: Waterfall, ids: SpanIds) -> None:
    """Sends a turn's stages below a span that ends with the last of them.

    Args:
        tracing: Where to.
        waterfall: The turn.
        ids: The turn's span, as the backend was told.
    """
    starts = (stage.start_ms for stage in waterfall.stages)
    ends = [waterfall.total_ms, *(stage.end_ms for stage in waterfall.stages)]
    tracing.span(
        "turn",
        waterfall.zero_s + min(0.0, *starts) / 1000,
        waterfall.zero_s + max(ends) / 1000,
        ids=ids,
        attributes={
            "parley.turn_id": waterfall.turn_id,
            "parley.total_ms": round(waterfall.total_ms, 1),
            "parley.interrupted": waterfall.interrupted,
            "parley.wasted": waterfall.wasted,
        },
    )
    for stage in waterfall.stages:
        if stage.name == "model" or stage.name.startswith("node "):
            continue  # the backend's own spans say it
        tracing.span(
            stage.name,
            waterfall.zero_s + stage.start_ms / 1000,
            waterfall.zero_s + stage.end_ms / 1000,
            parent=ids,
        )
