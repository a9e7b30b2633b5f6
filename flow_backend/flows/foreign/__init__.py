"""Turns flows of other systems into documents of ours, as far as they map.

One file a system, one line each in `SYSTEMS`. What does not map is named, never dropped in
silence; the result may need mending, which validation then tells.
"""

from __future__ import annotations

from typing import Any

from flow_backend.flows.foreign import dify, pipecat, vapi
from flow_backend.flows.foreign.builder import Builder
from protocol.errors import FlowError

SYSTEMS = {
    "a Vapi workflow": vapi,
    "a pipecat flow": pipecat,
    "a Dify app": dify,
}
"""Each has `recognises(data) -> bool` and `convert(data, builder) -> None`."""


def convert(data: Any, *, flow_id: str) -> tuple[dict[str, Any], list[str]]:
    """Converts a document; tells its system by its shape.

    Returns:
        Our document, and a sentence for each thing that was left out.

    Raises:
        FlowError: `flow_invalid`, if the document is of none of the systems or lacks what it
            must have.
    """
    for name, system in SYSTEMS.items():
        if isinstance(data, dict) and system.recognises(data):
            builder = Builder(flow_id)
            try:
                system.convert(data, builder)
            except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
                raise FlowError(
                    "flow_invalid",
                    f"This looks like {name}, but is not one: {type(error).__name__} at {error}.",
                ) from error
            return builder.document(), builder.left_out
    raise FlowError("flow_invalid", f"This is none of what can be imported: {', '.join(SYSTEMS)}.")
