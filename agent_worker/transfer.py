"""Hands a call over: to a telephone, another room, another agent or another flow."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from livekit import api, rtc
from livekit.agents import JobContext
from livekit.protocol import sip

Kind = Literal["phone", "room", "agent", "flow"]

AGENT_WITHIN_S = 10.0
"""How long another agent is waited for."""
_NUMBER = re.compile(r"\+?[0-9][0-9 ()./-]{2,}")


class TransferError(Exception):
    """The call stays here; the message says why."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call goes."""

    kind: Kind
    name: str
    """A `sip:` or `tel:` URI, or the name of the room, the agent or the flow."""


def destination(to: str) -> Destination:
    """Reads what a flow's `transfer` names.

    `sip:` and `tel:` URIs and telephone numbers go to a telephone; `room:`, `agent:` and `flow:`
    say what they are; any other word is an agent's name.
    """
    to = to.strip()
    kind, colon, name = to.partition(":")
    match kind.lower() if colon else "":
        case "sip" | "sips" | "tel":
            return Destination("phone", to)
        case "room":
            return Destination("room", name.strip())
        case "agent":
            return Destination("agent", name.strip())
        case "flow":
            return Destination("flow", name.strip())
    if _NUMBER.fullmatch(to):
        return Destination("phone", "tel:" + re.sub(r"[^+0-9]", "", to))
    return Destination("agent", to)


async def hand_over(
    ctx: JobContext, caller: rtc.RemoteParticipant, to: Destination, info: dict[str, Any]
) -> None:
    """Sends the caller to a telephone or another room, or calls another agent into this room.

    Args:
        ctx: The job of the room.
        caller: Who is handed over.
        to: Where; not a flow, which is no affair of the room.
        info: Told to an agent: `info` in the metadata of its dispatch.

    Raises:
        TransferError: It could not be done.
    """
    room = ctx.room.name
    try:
        match to.kind:
            case "phone":
                if caller.kind != rtc.ParticipantKind.PARTICIPANT_KIND_SIP:
                    raise TransferError("the caller is not on the telephone")
                done = await ctx.api.sip.transfer_sip_participant(
                    api.TransferSIPParticipantRequest(
                        room_name=room, participant_identity=caller.identity, transfer_to=to.name
                    )
                )
                if done.status == sip.STS_TRANSFER_FAILED:
                    raise TransferError("the other end did not take the call")
            case "room":
                await ctx.api.room.move_participant(
                    api.MoveParticipantRequest(
                        room=room, identity=caller.identity, destination_room=to.name
                    )
                )
            case "agent":
                await _call_agent(ctx, to.name, info)
            case "flow":
                raise ValueError("a flow is handed over to at the backend")
    except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
        # A destination may be somebody's telephone number: it is not repeated.
        raise TransferError(f"{type(error).__name__}: the server refused or did not answer") from (
            error
        )


async def _call_agent(ctx: JobContext, name: str, info: dict[str, Any]) -> None:
    """Asks for an agent, and waits until one has come."""
    came = asyncio.Event()

    def on_participant(participant: rtc.RemoteParticipant) -> None:
        if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            came.set()

    ctx.room.on("participant_connected", on_participant)
    try:
        dispatch = await ctx.api.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=name, room=ctx.room.name, metadata=json.dumps({"info": info})
            )
        )
        try:
            async with asyncio.timeout(AGENT_WITHIN_S):
                await came.wait()
        except TimeoutError as error:
            await ctx.api.agent_dispatch.delete_dispatch(dispatch.id, ctx.room.name)
            raise TransferError(f"no agent {name[:40]!r} has come") from error
    finally:
        ctx.room.off("participant_connected", on_participant)
