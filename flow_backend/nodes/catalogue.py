"""The list of node types: adding one is its file and its line here."""

from __future__ import annotations

from typing import Any

from flow_backend.nodes.base import NodeType
from flow_backend.nodes.conversation import Conversation
from flow_backend.nodes.end import End
from flow_backend.nodes.extract import Extract
from flow_backend.nodes.http import Http
from flow_backend.nodes.knowledge import Knowledge
from flow_backend.nodes.logic_split import LogicSplit
from flow_backend.nodes.press_digit import PressDigit
from flow_backend.nodes.say import Say
from flow_backend.nodes.set import SetVariables
from flow_backend.nodes.start import Start
from flow_backend.nodes.transfer import Transfer

NODE_TYPES: tuple[NodeType[Any], ...] = (
    Start(),
    Conversation(),
    Say(),
    Extract(),
    LogicSplit(),
    SetVariables(),
    Http(),
    Knowledge(),
    Transfer(),
    PressDigit(),
    End(),
)

BY_NAME: dict[str, NodeType[Any]] = {
    name: node_type for node_type in NODE_TYPES for name in (node_type.name, *node_type.aliases)
}
"""Node types by every name that a document may use."""
