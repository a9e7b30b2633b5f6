"""The list of node types: adding one is its file and its line here."""

from __future__ import annotations

from typing import Any

from flow_backend.nodes.base import NodeType
from flow_backend.nodes.conversation import Conversation
from flow_backend.nodes.end import End
from flow_backend.nodes.say import Say
from flow_backend.nodes.start import Start

NODE_TYPES: tuple[NodeType[Any], ...] = (
    Start(),
    Conversation(),
    Say(),
    End(),
)

BY_NAME: dict[str, NodeType[Any]] = {
    name: node_type for node_type in NODE_TYPES for name in (node_type.name, *node_type.aliases)
}
"""Node types by every name that a document may use."""
