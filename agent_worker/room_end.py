"""Closes rooms so that LiveKit's native library keeps nothing of them."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
from livekit import api, rtc
from livekit.agents import JobContext

GONE_S = 2.0
"""How long others may take to leave a room that is closed."""


def people(room: rtc.Room) -> list[str]:
    """Identities of those in a room who are no agents."""
    agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return [who.identity for who in room.remote_participants.values() if who.kind != agent]


async def close_room(ctx: JobContext) -> None:
    """Sends everybody away, then deletes the room.

    Who leaves, or loses, a room in which somebody's track is still subscribed to keeps half a
    megabyte of it in LiveKit's native library for as long as the process lives (livekit 1.1.21).
    """
    room, gone = ctx.room, asyncio.Event()

    def look(*_: object) -> None:
        if not room.isconnected() or not people(room):
            gone.set()

    room.on("participant_disconnected", look)
    room.on("disconnected", look)
    # What they do not leave, they are thrown out of with the room.
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, api.TwirpError):
        async with asyncio.timeout(GONE_S):
            for identity in people(room):
                await ctx.api.room.remove_participant(
                    api.RoomParticipantIdentity(room=room.name, identity=identity)
                )
            look()
            await gone.wait()
    await ctx.delete_room()
