"""A track's source without a room."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from livekit import rtc

from agent_worker.room_voice import RATE_HZ


class RoomTrack:
    """Plays in real time what it is given, as a track's source does.

    No time passes between a look at the queue and `clear_queue`.
    """

    def __init__(self) -> None:
        self._sound = bytearray()
        self._dry_s = 0.0
        self._queued_s = 0.0

    @property
    def queued_duration(self) -> float:
        self._queued_s = max(0.0, self._dry_s - time.monotonic())
        return self._queued_s

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self._dry_s = max(self._dry_s, time.monotonic()) + frame.duration
        await asyncio.sleep(0)
        self._sound += frame.data.tobytes()

    def clear_queue(self) -> None:
        if queued := round(self._queued_s * RATE_HZ) * 2:
            del self._sound[-queued:]
        self._dry_s = self._queued_s = 0.0

    async def aclose(self) -> None:
        pass

    @property
    def played(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        return np.frombuffer(bytes(self._sound), np.int16)
