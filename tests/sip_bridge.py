"""livekit-sip as LiveKit sees it: on its message bus and in the rooms, without SIP and RTP.

A real LiveKit server decides who is let in and into which room, and asks to call out and to
transfer. What livekit-sip does with these answers is imitated as its source has it: the token, the
attributes, and when it joins, subscribes and leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr
from livekit import api, rtc
from livekit.protocol.sip import SIPUri

from agent_worker.keypad import CODES
from bench.caller import MIC_RATE_HZ, Audio, Caller
from tests.livekit_bus import RPC, Bus, RefusedError

LINE_RATE_HZ = 8_000
ACCEPT = 1
"""`SIPDispatchResult.ACCEPT`."""
STATUS = "sip.callStatus"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Where LiveKit sends a call."""

    room: str
    identity: str
    name: str
    metadata: str
    attributes: dict[str, str]
    config: api.RoomConfiguration | None = None


@dataclass
class Dialling:
    """A call that LiveKit asks for; `outcome` ends the asking."""

    request: Any
    dispatch: Dispatch
    outcome: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class SipBridge:
    """Takes and makes calls for one LiveKit server. Made by `open`.

    Attributes:
        dialled: Calls that are asked for.
        transfers: Destinations of the transfers that were asked for.
        takes_transfers: Whether the far end accepts a REFER.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.dialled: asyncio.Queue[Dialling] = asyncio.Queue()
        self.transfers: asyncio.Queue[str] = asyncio.Queue()
        self.takes_transfers = True

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, redis_port: int) -> AsyncIterator[SipBridge]:
        """On the bus in the Redis at this port of loopback."""
        async with Bus.open(redis_port) as bus:
            bridge = cls(bus)
            request = RPC["InternalCreateSIPParticipantRequest"]
            await bus.serve("CreateSIPParticipant", "", request, bridge._dial)
            yield bridge

    async def credentials(self, called: str, caller: str, source_ip: str) -> tuple[str, str]:
        """User and password that the far end must show; both empty: none."""
        call = _call(called, caller, source_ip)
        answer = await self._bus.call(
            "GetSIPTrunkAuthentication",
            RPC["GetSIPTrunkAuthenticationRequest"](call=call),
            RPC["GetSIPTrunkAuthenticationResponse"],
        )
        return answer.username, answer.password

    async def invited(self, called: str, caller: str, source_ip: str = "127.0.0.1") -> Dispatch:
        """A call comes in.

        Raises:
            RefusedError: It is not let in.
        """
        call = _call(called, caller, source_ip)
        answer = await self._bus.call(
            "EvaluateSIPDispatchRules",
            RPC["EvaluateSIPDispatchRulesRequest"](call=call),
            RPC["EvaluateSIPDispatchRulesResponse"],
        )
        if answer.result != ACCEPT:
            raise RefusedError("dropped", f"a call from {source_ip} is dropped")
        dispatch = Dispatch(
            answer.room_name,
            answer.participant_identity,
            answer.participant_name,
            answer.participant_metadata,
            dict(answer.participant_attributes),
            answer.room_config,
        )
        await self._serve_transfers(dispatch)
        return dispatch

    async def _dial(self, request: Any) -> Any:
        dispatch = Dispatch(
            request.room_name,
            request.participant_identity,
            request.participant_name,
            request.participant_metadata,
            dict(request.participant_attributes),
        )
        await self._serve_transfers(dispatch)
        dialling = Dialling(request, dispatch)
        self.dialled.put_nowait(dialling)
        await dialling.outcome
        return RPC["InternalCreateSIPParticipantResponse"](
            participant_identity=dispatch.identity, sip_call_id=request.sip_call_id
        )

    async def _serve_transfers(self, dispatch: Dispatch) -> None:
        await self._bus.serve(
            "TransferSIPParticipant",
            dispatch.attributes["sip.callID"],
            RPC["InternalTransferSIPParticipantRequest"],
            self._transfer,
        )

    async def _transfer(self, request: Any) -> Any:
        self.transfers.put_nowait(request.transfer_to)
        if not self.takes_transfers:
            raise RefusedError("unavailable", "REFER: 603 Decline")
        return RPC["Empty"]()


class Phone:
    """A telephone's end of a call. Made by `called` and `rung`.

    Attributes:
        caller: What it says and hears, in the room; the line is G.711 in both directions.
        keys: Keys that the agent has pressed.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.keys = ""
        self._pressed = asyncio.Event()
        caller.room.on("sip_dtmf_received", self._on_dtmf)

    @classmethod
    @contextlib.asynccontextmanager
    async def called(cls, url: str, key: str, secret: str, to: Dispatch) -> AsyncIterator[Phone]:
        """Has called and been let in; leaving the block hangs up."""
        token = _token(key, secret, to, "ringing")
        async with Caller.with_token(url, token) as caller:
            phone = cls(caller)
            # livekit-sip answers the call when it has subscribed to a track in the room.
            await caller.until_connected()
            await caller.room.local_participant.set_attributes({STATUS: "active"})
            yield phone

    @classmethod
    @contextlib.asynccontextmanager
    async def rung(cls, url: str, key: str, secret: str, to: Dispatch) -> AsyncIterator[Phone]:
        """Is called and rings, in the room and deaf until `answer`."""
        token = _token(key, secret, to, "dialing")
        async with Caller.with_token(url, token, auto_subscribe=False) as caller:
            await caller.room.local_participant.set_attributes({STATUS: "ringing"})
            yield cls(caller)

    async def answer(self) -> None:
        """Is picked up."""
        room = self.caller.room
        room.on("track_published", lambda publication, _: publication.set_subscribed(True))
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(True)
        await room.local_participant.set_attributes({STATUS: "active"})

    async def speak(self, speech: Audio) -> float:
        """Says it over the line; as `Caller.speak`."""
        return await self.caller.speak(over_the_line(speech, MIC_RATE_HZ))

    async def press(self, digits: str) -> None:
        """Presses keys, which come as livekit-sip tells a room of RFC 4733's events."""
        for digit in digits:
            await self.caller.room.local_participant.publish_dtmf(code=CODES[digit], digit=digit)

    async def until_pressed(self, digits: str) -> None:
        """Waits until the agent has pressed these keys last."""
        while not self.keys.endswith(digits):
            self._pressed.clear()
            await self._pressed.wait()

    def _on_dtmf(self, event: rtc.SipDTMF) -> None:
        self.keys += event.digit
        self._pressed.set()


def over_the_line(sound: Audio, rate_hz: int) -> Audio:
    """What G.711 (mu-law) leaves of sound: 8 kHz, 8 bits; float32 [n] at `rate_hz`."""
    line = np.clip(soxr.resample(sound, rate_hz, LINE_RATE_HZ), -1, 1)
    mu = 255
    code = np.round(np.sign(line) * np.log1p(mu * np.abs(line)) / np.log1p(mu) * 127) / 127
    heard = np.sign(code) * np.expm1(np.abs(code) * np.log1p(mu)) / mu
    back: Audio = soxr.resample(heard.astype(np.float32), LINE_RATE_HZ, rate_hz)
    return back


def _call(called: str, caller: str, source_ip: str) -> Any:
    to = SIPUri(user=called, host="parley.example")
    call: Any = RPC["SIPCall"](
        lk_call_id=f"SCL_{uuid.uuid4().hex[:12]}", source_ip=source_ip, address=to, to=to
    )
    getattr(call, "from").MergeFrom(SIPUri(user=caller, host="provider.example"))
    return call


def _token(key: str, secret: str, to: Dispatch, status: str) -> str:
    """As livekit-sip makes it."""
    token = (
        api.AccessToken(key, secret)
        .with_identity(to.identity)
        .with_name(to.name)
        .with_kind("sip")
        .with_metadata(to.metadata)
        .with_attributes({**to.attributes, STATUS: status})
        .with_grants(
            api.VideoGrants(
                room_join=True,
                room=to.room,
                can_publish=True,
                can_subscribe=True,
                can_publish_data=True,
                can_update_own_metadata=True,
            )
        )
    )
    if to.config is not None:
        token = token.with_room_config(to.config)
    return token.to_jwt()
