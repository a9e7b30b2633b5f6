"""A participant for measurements: speaks recordings into a room and notes what comes back, when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from livekit import api, rtc

MIC_RATE_HZ = 16_000
HEARD_RATE_HZ = 24_000
FRAME_S = 0.02
AUDIBLE = 0.01
"""Amplitude, of full scale, from which a sample counts as heard: -40 dB."""

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame of the agent's voice."""

    at_s: float
    """When its first sample could be played, on the clock of `time.perf_counter`."""
    samples: Audio
    """float32 [n] at `HEARD_RATE_HZ`."""


class Caller:
    """Joined to a room while `join` is open. The microphone is open all the time.

    Attributes:
        heard: The agent's voice so far, silence included; nobody else's.
        transcripts: Texts of finished transcript segments, as `(identity, text)`.
        waterfalls: The worker's accounts of the turns that are over.
        agent_left: Set when the agent has gone, or the room.
    """

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.heard: list[Heard] = []
        self.transcripts: list[tuple[str, str]] = []
        self.waterfalls: list[dict[str, Any]] = []
        self.agent_left = asyncio.Event()
        self._publication: rtc.LocalTrackPublication | None = None
        self._speech: asyncio.Queue[tuple[Audio, asyncio.Future[float]]] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._hearing = asyncio.Event()
        self._hung_up = False
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def join(
        cls,
        url: str,
        key: str,
        secret: str,
        room_name: str,
        *,
        agent_name: str = "",
        attributes: dict[str, str] | None = None,
        identity: str = "caller",
        mic_rate_hz: int = MIC_RATE_HZ,
        mic_channels: int = 1,
    ) -> AsyncIterator[Caller]:
        """Joins, with a token of its own making, and opens the microphone.

        Args:
            url: LiveKit's.
            key: LiveKit's API key.
            secret: Its secret.
            room_name: Made on the way.
            agent_name: Asks for this agent by explicit dispatch; empty: whichever comes.
            attributes: Attributes of the participant.
            identity: Name of the participant in the room.
            mic_rate_hz: Rate at which the microphone gives its samples.
            mic_channels: 1, or 2 with the same sound on both.
        """
        token = (
            api.AccessToken(key, secret)
            .with_identity(identity)
            .with_attributes(attributes or {})
            .with_grants(api.VideoGrants(room_join=True, room=room_name))
            .with_ttl(timedelta(minutes=30))
        )
        if agent_name:
            token = token.with_room_config(
                api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=agent_name)])
            )
        async with cls.with_token(
            url, token.to_jwt(), mic_rate_hz=mic_rate_hz, mic_channels=mic_channels
        ) as caller:
            yield caller

    @classmethod
    @contextlib.asynccontextmanager
    async def with_token(
        cls,
        url: str,
        token: str,
        *,
        mic_rate_hz: int = MIC_RATE_HZ,
        mic_channels: int = 1,
        auto_subscribe: bool = True,
    ) -> AsyncIterator[Caller]:
        """As `join`, with a token of somebody else's making.

        Args:
            url: LiveKit's.
            token: For the room.
            mic_rate_hz: Rate at which the microphone gives its samples.
            mic_channels: 1, or 2 with the same sound on both.
            auto_subscribe: Listens to everybody from the beginning.
        """
        caller = cls(rtc.Room())
        caller.room.on("track_subscribed", caller._on_track)
        caller.room.on("data_received", caller._on_data)
        caller.room.on("participant_disconnected", caller._on_left)
        caller.room.on("disconnected", lambda _: caller.agent_left.set())
        caller.room.register_text_stream_handler("lk.transcription", caller._on_text)
        await caller.room.connect(url, token, rtc.RoomOptions(auto_subscribe=auto_subscribe))
        try:
            await caller.open_microphone(mic_rate_hz, mic_channels)
            microphone = asyncio.create_task(caller._run_microphone())
            try:
                yield caller
            finally:
                # The native side must not find the caller of its last frame gone.
                caller._hung_up = True
                await asyncio.wait({microphone})
                caller._source.clear_queue()
        finally:
            for task in list(caller._tasks):
                task.cancel()
            await asyncio.gather(*caller._tasks, return_exceptions=True)
            await caller.room.disconnect()

    async def open_microphone(self, rate_hz: int = MIC_RATE_HZ, channels: int = 1) -> None:
        """Publishes a microphone in the place of the one before; not while it is spoken."""
        if self._publication is not None:
            await self.room.local_participant.unpublish_track(self._publication.sid)
        self._mic_rate_hz, self._mic_channels = rate_hz, channels
        self._source = rtc.AudioSource(rate_hz, channels, queue_size_ms=1000)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self._publication = await self.room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )

    async def until_subscribed(self) -> None:
        """Waits until somebody listens to the microphone."""
        assert self._publication is not None
        await self._publication.wait_for_subscription()

    async def speak(self, speech: Audio) -> float:
        """Says a recording; gives the time at which its last sample left the microphone.

        Args:
            speech: float32 [n] at `MIC_RATE_HZ`; silence at its end would count as speech.
        """
        spoken: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        await self._speech.put((speech, spoken))
        return await spoken

    async def pause(self, for_s: float) -> None:
        """Says nothing for so long, by the microphone's clock."""
        await self.speak(np.zeros(round(for_s * MIC_RATE_HZ), dtype=np.float32))

    async def until_connected(self) -> None:
        """Waits until the agent's voice is subscribed to."""
        await self._hearing.wait()

    async def first_audible_after(self, at_s: float) -> float:
        """Waits for the first sample, later than `at_s`, that can be heard; gives its time."""
        index = 0
        while True:
            while index < len(self.heard):
                frame = self.heard[index]
                index += 1
                audible = np.flatnonzero(np.abs(frame.samples) >= AUDIBLE)
                times = frame.at_s + audible / HEARD_RATE_HZ
                later = times[times > at_s]
                if later.size:
                    return float(later[0])
            self._changed.clear()
            await self._changed.wait()

    async def until_heard(self, audible_s: float, since_s: float) -> None:
        """Waits until so much of the agent's voice was heard, its pauses left out."""
        while self._audible_s(since_s) < audible_s:
            self._changed.clear()
            await self._changed.wait()

    def _audible_s(self, since_s: float) -> float:
        samples = sum(
            len(frame.samples)
            for frame in self.heard
            if frame.at_s >= since_s and np.abs(frame.samples).max() >= AUDIBLE
        )
        return samples / HEARD_RATE_HZ

    async def until_silent(self, for_s: float) -> float:
        """Waits until nothing was heard for so long; gives the time of the last audible sample."""
        started = time.perf_counter()
        while True:
            last = self.last_audible() or started
            now = time.perf_counter()
            if now - max(last, started - for_s) >= for_s:
                return last
            await asyncio.sleep(0.02)

    async def until_told(self, count: int) -> None:
        """Waits until the worker has given its account of so many turns."""
        while len(self.waterfalls) < count:
            self._changed.clear()
            await self._changed.wait()

    def last_audible(self) -> float | None:
        """Time of the last sample so far that can be heard."""
        for frame in reversed(self.heard):
            audible = np.flatnonzero(np.abs(frame.samples) >= AUDIBLE)
            if audible.size:
                return float(frame.at_s + audible[-1] / HEARD_RATE_HZ)
        return None

    def recording(self, since_s: float = 0.0, until_s: float = math.inf) -> Audio:
        """What was heard between two times: float32 [n] at `HEARD_RATE_HZ`."""
        frames = [frame.samples for frame in self.heard if since_s <= frame.at_s <= until_s]
        return np.concatenate(frames) if frames else np.zeros(0, dtype=np.float32)

    def _own(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_microphone(self) -> None:
        """Feeds the source in real time, so that its queue stays short."""
        rest = np.zeros(0, dtype=np.float32)
        spoken: asyncio.Future[float] | None = None
        next_s = time.perf_counter()
        while not self._hung_up:
            if spoken is None and not self._speech.empty():
                speech, spoken = self._speech.get_nowait()
                rest = soxr.resample(speech, MIC_RATE_HZ, self._mic_rate_hz)
            rate_hz, channels = self._mic_rate_hz, self._mic_channels
            frame_samples = int(rate_hz * FRAME_S)
            frame = np.zeros(frame_samples, dtype=np.float32)
            piece, rest = rest[:frame_samples], rest[frame_samples:]
            frame[: len(piece)] = piece
            data = (np.clip(frame, -1, 1) * 32767).astype(np.int16).repeat(channels).tobytes()
            queued_s = self._source.queued_duration
            await self._source.capture_frame(rtc.AudioFrame(data, rate_hz, channels, frame_samples))
            if spoken is not None and not rest.size:
                # What is waiting in the source's queue has not been said yet.
                spoken.set_result(time.perf_counter() + queued_s + len(piece) / rate_hz)
                spoken = None
            next_s += FRAME_S
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))

    def _on_track(
        self, track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant):
            self._own(self._hear(track))

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.agent_left.set()

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=HEARD_RATE_HZ, num_channels=1, frame_size_ms=20)
        self._hearing.set()
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16)
                self.heard.append(
                    Heard(time.perf_counter(), samples.astype(np.float32) / np.float32(32768))
                )
                self._changed.set()
        finally:
            await stream.aclose()

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == "parley.waterfall":
            self.waterfalls.append(json.loads(packet.data))
            self._changed.set()

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        async def read() -> None:
            try:
                text = await reader.read_all()
            except rtc.StreamError:  # who wrote it has gone
                return
            final = (reader.info.attributes or {}).get("lk.transcription_final") != "false"
            if final:
                self.transcripts.append((identity, text))

        self._own(read())


def _is_agent(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
