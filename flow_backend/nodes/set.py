"""`set`: sets variables from templates, CEL or plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Expression, Template
from flow_backend.flows.expressions import evaluate
from flow_backend.flows.problems import wrong_value
from flow_backend.flows.variables import VariableType, coerce
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome
from protocol.errors import FlowError


class Assignment(BaseModel):
    """One variable; exactly one of `template`, `expression` and `value`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    template: Template | None = None
    """The text that the template gives."""
    expression: Expression | None = None
    """What the expression comes to."""
    value: Any = None
    """This value as it is."""
    type: VariableType | None = None
    """Turns the value into this type, so that a template can set a number."""

    @model_validator(mode="after")
    def _one_source(self) -> Assignment:
        given = {"template", "expression", "value"} & self.model_fields_set
        if len(given) != 1:
            raise wrong_value("not_one_source")
        return self


class SetData(NodeData):
    """Fields of a set node."""

    assignments: list[Assignment] = Field(min_length=1)
    """In this order: a later one sees what an earlier one has set."""


class SetVariables(NodeType[SetData]):
    """Changes the session's variables and nothing else."""

    name: ClassVar[str] = "set"
    data_model = SetData

    def sets(self, data: SetData) -> Iterable[str]:
        """The variables on the left."""
        return [assignment.name for assignment in data.assignments]

    async def run(self, data: SetData, context: NodeContext) -> Outcome:
        """Computes and sets.

        Raises:
            FlowError: `template_failed`, `expression_failed` (a value that is not of the wanted
                type, too), `variable_too_large`.
        """
        changed: dict[str, Any] = {}
        for item in data.assignments:
            values = {**context.values(), **changed}
            if item.template is not None:
                value: Any = context.render_with(item.template, values)
            elif item.expression is not None:
                value = evaluate(item.expression, values)
            else:
                value = item.value
            try:
                changed[item.name] = coerce(value, item.type) if item.type else value
            except ValueError as error:
                raise FlowError("expression_failed", f"Variable {item.name!r}: {error}.") from error
        context.set_variables(changed)
        return Go()
