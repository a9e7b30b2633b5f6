"""`logic_split`: goes on by conditions, in the order of their priority."""

from __future__ import annotations

from typing import ClassVar

from flow_backend.engine.context import NodeContext
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome


class LogicSplitData(NodeData):
    """Nothing beyond what every node has: the conditions stand on the edges."""


class LogicSplit(NodeType[LogicSplitData]):
    """Does nothing by itself; an `always` edge must be there as the else."""

    name: ClassVar[str] = "logic_split"
    data_model = LogicSplitData

    async def run(self, data: LogicSplitData, context: NodeContext) -> Outcome:
        """Goes on at once."""
        return Go()
