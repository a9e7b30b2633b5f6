"""The remote procedure by which a caller's client silences the agent, as a button does."""

from __future__ import annotations

from livekit import rtc
from livekit.agents import AgentSession, JobContext

INTERRUPT_METHOD = "parley.interrupt"


def offer_interruption(ctx: JobContext, session: AgentSession[None], identity: str) -> None:
    """Lets one participant of the room interrupt the session, until the call is over."""

    def interrupt(call: rtc.RpcInvocationData) -> str:
        if call.caller_identity != identity:
            raise rtc.RpcError(403, "Only the caller may interrupt the agent.")
        try:
            session.interrupt()
        except RuntimeError as error:
            raise rtc.RpcError(409, "The agent may not be interrupted now.") from error
        return ""

    async def withdraw() -> None:
        # LiveKit's native library (livekit 1.1.21) keeps a room whose methods stay registered.
        me.unregister_rpc_method(INTERRUPT_METHOD)

    me = ctx.room.local_participant
    me.register_rpc_method(INTERRUPT_METHOD, interrupt)
    ctx.add_shutdown_callback(withdraw)
