"""What a room, its caller or a dispatch asks of the agent."""

from __future__ import annotations

import json
from typing import Any

from livekit import rtc
from livekit.agents import JobContext


def chosen_flow(ctx: JobContext, participant: rtc.RemoteParticipant) -> str | None:
    """The flow that the dispatch, the participant or the room asks for, in this order.

    Participant and room have asked another agent, where one has handed the call over.
    """
    dispatch = _metadata(ctx.job.metadata)
    sources = [dispatch.get("flow_id")]
    if "info" not in dispatch:
        sources += [
            participant.attributes.get("flow_id"),
            _metadata(participant.metadata).get("flow_id"),
            _metadata(ctx.job.room.metadata).get("flow_id"),
        ]
    return next((flow_id for flow_id in sources if isinstance(flow_id, str) and flow_id), None)


def told_before(ctx: JobContext) -> dict[str, Any]:
    """What another agent that handed the call over told: variables for the flow."""
    info = _metadata(ctx.job.metadata).get("info")
    return info if isinstance(info, dict) else {}


def _metadata(text: str) -> dict[str, Any]:
    """Metadata that is a JSON object; other metadata is somebody else's."""
    try:
        metadata = json.loads(text)
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}
