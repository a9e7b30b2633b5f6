"""The agent's voice in the room: falls silent at once, and loses nothing in a pause.

LiveKit's own output ends a pause 0.2 s further on than it began, since it throws away what waits in
the track's queue, and notices a pause only with the next frame. This one takes back what waits.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from livekit import rtc
from livekit.agents.voice import io

from agent_worker.room_words import RoomWords

RATE_HZ = 24_000
FRAME_SAMPLES = RATE_HZ // 50
AHEAD_S = 0.15
"""How much waits in the track's queue: what the event loop may be late by without a gap."""
QUEUE_MS = 1000
"""Room in the queue, so that giving a frame never waits."""
SAMPLE_BYTES = 2
UNPUBLISHED_S = 2.0
"""How long the room may take to let go of the track."""


class RoomVoice(io.AudioOutput):
    """Plays one segment after the other into a track; 16-bit mono at `RATE_HZ`.

    Args:
        source: Of the track.
    """

    def __init__(self, source: rtc.AudioSource) -> None:
        super().__init__(
            label="room",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=RATE_HZ,
        )
        self.words: RoomWords | None = None
        """Told what was played, and asked for the words of it."""
        self._source = source
        self._room: rtc.Room | None = None
        self._track: rtc.LocalAudioTrack | None = None
        self._waiting = bytearray()
        """Sound of the segment that was not given to the source."""
        self._given = bytearray()
        """The last that was: at least what can still wait in its queue."""
        self._given_samples = 0
        """Of the segment, less what was taken back."""
        self._run_from_samples = 0
        """Where in the segment the sound began that plays without a gap."""
        self._dry_at_s = 0.0
        """When, as `time.time()`, the source has nothing more to play."""
        self._open = False
        """A segment has begun and its end was not told."""
        self._flushed = False
        self._cleared = False
        self._truncated = False
        """The voice failed: more was to come."""
        self._paused = False
        self._started = False
        self._giving = False
        self._changed = asyncio.Event()
        self._heard = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self._player: asyncio.Task[None] | None = None

    @classmethod
    async def published_in(cls, room: rtc.Room) -> RoomVoice:
        """A voice in a room's new track; sound waits until somebody subscribes to it."""
        voice = cls(rtc.AudioSource(RATE_HZ, 1, queue_size_ms=QUEUE_MS))
        voice._room = room
        voice._track = track = rtc.LocalAudioTrack.create_audio_track("roomio_audio", voice._source)
        publication = await room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        voice.start(publication)
        return voice

    def start(self, publication: rtc.LocalTrackPublication | None = None) -> None:
        """Begins to play, at once or when the track has a subscriber."""
        self._player = asyncio.create_task(self._play(publication), name="room voice")

    async def aclose(self) -> None:
        """Falls silent for good, and leaves the room; best before the room closes.

        A track that is still published when its room is gone keeps a thread of LiveKit's native
        library for as long as the process lives.
        """
        if self._player is not None:
            self._player.cancel()
            await asyncio.wait([self._player])
        if self._room is not None and self._track is not None:
            if self._room.isconnected():
                with suppress(TimeoutError, rtc.participant.UnpublishTrackError):
                    async with asyncio.timeout(UNPUBLISHED_S):
                        await self._room.local_participant.unpublish_track(self._track.sid)
            # What is left of the call may live on until Python collects it; the class has no call
            # for this.
            self._track._ffi_handle.dispose()
        await self._source.aclose()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Takes sound, faster than it is played; waits while the segment before is ending."""
        await self._heard.wait()
        await self._over.wait()
        await super().capture_frame(frame)
        if not self._cleared:
            self._open = True
            self._waiting += frame.data.tobytes()
            self._changed.set()

    def flush(self) -> None:
        """The segment has no more sound."""
        super().flush()
        if self._open:
            self._flushed = True
            self._over.clear()
            self._changed.set()
        else:
            self._truncated = False
            if self.words is not None:
                self.words.sound_ended(0.0, cut=True)

    def _mark_input_truncated(self) -> None:
        super()._mark_input_truncated()
        self._truncated = True

    def clear_buffer(self) -> None:
        """Falls silent and forgets the rest of the segment."""
        if self._open:
            self._cleared = True
            self._take_back()
            self._changed.set()

    def pause(self) -> None:
        """Falls silent until `resume`."""
        super().pause()
        self._paused = True
        self._take_back()

    def resume(self) -> None:
        """Goes on with the sample after the last that was played."""
        super().resume()
        self._paused = False
        self._changed.set()

    def _take_back(self) -> None:
        """Takes what was not played out of the source's queue.

        While a frame is on its way there, the player does so as soon as that has arrived.
        """
        if self._giving:
            return
        waiting_bytes = round(self._source.queued_duration * RATE_HZ) * SAMPLE_BYTES
        self._source.clear_queue()
        if waiting_bytes := min(waiting_bytes, len(self._given)):
            self._waiting[:0] = self._given[-waiting_bytes:]
            del self._given[-waiting_bytes:]
            self._given_samples -= waiting_bytes // SAMPLE_BYTES
        self._report_run()

    def _report_run(self) -> None:
        """Tells what was played up to a gap; a recording of the call places the sound by it."""
        duration_s = (self._given_samples - self._run_from_samples) / RATE_HZ
        if duration_s > 0:
            self.on_playback_progressed(
                started_at=min(time.time(), self._dry_at_s) - duration_s,
                offset=self._run_from_samples / RATE_HZ,
                duration=duration_s,
            )
        self._run_from_samples = self._given_samples

    async def _play(self, publication: rtc.LocalTrackPublication | None) -> None:
        if publication is not None:
            await publication.wait_for_subscription()
        self._heard.set()
        while True:
            wait_s: float | None = None
            ahead_s = self._source.queued_duration
            if self.words is not None and self._open and not self._cleared:
                self.words.played(self._given_samples / RATE_HZ - ahead_s)
            if self._flushed and (self._cleared or not (self._waiting or ahead_s)):
                self._finish()
            elif self._flushed and not self._waiting:
                wait_s = min(ahead_s, FRAME_SAMPLES / RATE_HZ)
            elif self._waiting and not (self._paused or self._cleared):
                if ahead_s < AHEAD_S:
                    await self._give()
                    continue
                wait_s = ahead_s - AHEAD_S + FRAME_SAMPLES / RATE_HZ
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
            self._changed.clear()

    async def _give(self) -> None:
        frame = bytes(self._waiting[: FRAME_SAMPLES * SAMPLE_BYTES])
        del self._waiting[: len(frame)]
        self._given += frame
        del self._given[: -QUEUE_MS * RATE_HZ // 1000 * SAMPLE_BYTES]
        samples = len(frame) // SAMPLE_BYTES
        if time.time() >= self._dry_at_s:
            self._report_run()
        self._given_samples += samples
        if not self._started:
            self._started = True
            self.on_playback_started(created_at=time.time())
        self._giving = True
        try:
            await self._source.capture_frame(rtc.AudioFrame(frame, RATE_HZ, 1, samples))
        finally:
            self._giving = False
        self._dry_at_s = time.time() + self._source.queued_duration
        if self._paused or self._cleared:
            self._take_back()

    def _finish(self) -> None:
        self._report_run()
        position_s, interrupted = self._given_samples / RATE_HZ, self._cleared
        heard: str | None = None
        if self.words is not None:
            heard = self.words.sound_ended(position_s, cut=interrupted or self._truncated)
        self._waiting.clear()
        self._given.clear()
        self._given_samples = self._run_from_samples = 0
        self._open = self._flushed = self._cleared = self._started = self._truncated = False
        self._over.set()
        self.on_playback_finished(
            playback_position=position_s, interrupted=interrupted, synchronized_transcript=heard
        )
