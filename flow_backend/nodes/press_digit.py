"""`press_digit`: sends DTMF digits, or reads those that the user presses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from flow_backend.engine.context import NodeContext
from flow_backend.flows.document import Template
from flow_backend.flows.problems import wrong_value
from flow_backend.nodes.base import Go, NodeData, NodeType, Outcome, Wait
from protocol.errors import FlowError
from protocol.events import Dtmf

PRESSED = "dtmf:"
"""Before an input that are digits for certain."""
_DIGITS = re.compile(r"[0-9A-D*#]+")
_PRESSED = re.compile(r"(?:dtmf:)?\s*([0-9A-Da-d*#][0-9A-Da-d*#\s]*)")


class PressDigitData(NodeData):
    """Fields of a press_digit node."""

    action: Literal["send", "read"] = "send"
    digits: Template = ""
    """For `send`: of `0-9 A-D * #`."""
    text: Template = ""
    """Spoken before."""
    max_digits: int = Field(default=1, ge=1, le=64)
    """For `read`: the worker reports after so many digits,"""
    terminator: str = Field(default="#", pattern=r"^[0-9A-D*#]?$")
    """…or after this one,"""
    timeout_s: float = Field(default=5.0, gt=0, le=120)
    """…or after so long without another."""
    variable: str = Field(default="digits", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """For `read`: is set to the digits."""

    @model_validator(mode="after")
    def _has_digits(self) -> PressDigitData:
        if self.action == "send" and not self.digits:
            raise wrong_value("digits_missing")
        return self


class PressDigit(NodeType[PressDigitData]):
    """Sends and goes on, or asks for digits and waits: they come as the next turn's input.

    An input of digits, with or without `dtmf:` before them, sets the variable and raises the
    event `digits`; the user's words instead raise `no_digits`.
    """

    name: ClassVar[str] = "press_digit"
    data_model = PressDigitData
    events: ClassVar[tuple[str, ...]] = ("digits", "no_digits")

    def has_side_effects(self, data: PressDigitData) -> bool:
        """Always."""
        return True

    def waits(self, data: PressDigitData) -> bool:
        """When it reads."""
        return data.action == "read"

    def sets(self, data: PressDigitData) -> Iterable[str]:
        """The variable that it reads into."""
        return [data.variable] if data.action == "read" else ()

    async def run(self, data: PressDigitData, context: NodeContext) -> Outcome:
        """Emits the `dtmf` event, unless the digits have been pressed before the question.

        Raises:
            FlowError: `node_failed` if the template gives no digits.
        """
        pressed = data.action == "read" and context.input.startswith(PRESSED)
        if pressed and context.take_input():
            return await self.resume(data, context)
        if data.text:
            context.speak(context.render(data.text))
        if data.action == "send":
            digits = context.render(data.digits).replace(" ", "")
            if not _DIGITS.fullmatch(digits):
                raise FlowError(
                    "node_failed",
                    f"Node {context.node.id!r} has nothing to send: `digits` came to something "
                    "else than 0-9, A-D, * and #.",
                )
            context.emit(Dtmf(node_id=context.node.id, action="send", digits=digits))
            return Go()
        wanted: dict[str, Any] = {
            "max_digits": data.max_digits,
            "terminator": data.terminator,
            "timeout_s": data.timeout_s,
        }
        context.emit(Dtmf(node_id=context.node.id, action="read", data=wanted))
        return Wait()

    async def resume(self, data: PressDigitData, context: NodeContext) -> Outcome:
        """Takes the digits, and goes on or asks again."""
        found = _PRESSED.fullmatch(context.input.strip())
        event = "no_digits"
        if found:
            event = "digits"
            context.set_variables({data.variable: "".join(found[1].split()).upper()})
        edge = await context.choose_edge(event)
        if edge is None and found:
            return Go(event=event)
        return Go(edge=edge) if edge is not None else await self.run(data, context)
