"""A participant of a LiveKit room who talks with the agent: what `parley call` is made of."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
import wave
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import numpy.typing as npt
from livekit import rtc
from pydantic import SecretStr

from agent_worker.flow_executor import key_header
from protocol.errors import AccessError, ConfigError, FlowError, ParleyError, StreamError

RATE_HZ = 48_000
FRAME_SAMPLES = RATE_HZ // 50
"""20 ms, an Opus frame."""
QUEUE_MS = 60
"""Audio that waits in our queue; more would only delay what is said next."""
AGENT_WITHIN_S = 30.0
SETTLED_S = 1.0
"""An agent that listens for so long has no more to say."""
NOBODY_FREE = (
    "Either no worker runs, or each has as many calls as it takes (MAX_CALLS). Try again in a "
    "moment; `parley doctor` tells more."
)
AUDIBLE = 0.01
"""Root mean square of a frame that counts as sound, of full scale."""

LOST = (
    "the connection was lost and could not be made again (a ticket to a room lets nobody in after "
    "TOKEN_TTL_S); call again for a new one"
)
CLOSED = "the room was closed"
WHY_GONE = {
    rtc.DisconnectReason.CLIENT_INITIATED: CLOSED,
    rtc.DisconnectReason.DUPLICATE_IDENTITY: "somebody else came in under the same name",
    rtc.DisconnectReason.SERVER_SHUTDOWN: "the LiveKit server was stopped",
    rtc.DisconnectReason.PARTICIPANT_REMOVED: CLOSED,
    rtc.DisconnectReason.ROOM_DELETED: CLOSED,
    rtc.DisconnectReason.ROOM_CLOSED: CLOSED,
}

TRANSCRIPTION_TOPIC = "lk.transcription"
CHAT_TOPIC = "lk.chat"
STATE_ATTRIBUTE = "lk.agent.state"
MAX_HELD_FRAMES = 100


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where to connect, and with what."""

    url: str
    token: str
    why_alone: Callable[[], Awaitable[str]] | None = None
    """Tells why no agent comes, as far as the backend knows."""


async def invite(
    backend: str,
    *,
    room: str | None = None,
    identity: str | None = None,
    flow: str | None = None,
    api_key: SecretStr | None = None,
) -> Invitation:
    """Asks the backend for a token.

    Args:
        backend: Its root.
        room: Name of the room; a new one by default.
        identity: The participant's; made up by default.
        flow: The flow that should answer; the worker's default otherwise.
        api_key: For a backend that asks for one.

    Raises:
        StreamError: `backend_unavailable` if nobody answers there, `stream_malformed` if it is
            somebody else.
        FlowError: `flow_not_found`.
        ConfigError: `start_failed`, with what the backend said, if it refuses.
    """
    body: dict[str, Any] = {"participant_name": "parley call"}
    if room is not None:
        body["room_name"] = room
    if identity is not None:
        body["participant_identity"] = identity
    if flow is not None:
        body["participant_metadata"] = json.dumps({"flow_id": flow})
    headers = key_header(api_key)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10, headers=headers) as client:
            if flow is not None:
                await _require_flow(client, backend, flow)
            answer = await client.post(f"{backend}/api/token", json=body)
    except httpx.TransportError as error:
        raise StreamError(
            "backend_unavailable", f"Nobody answers at {backend}. Start the stack: parley up."
        ) from error
    try:
        found = answer.json()
        if answer.status_code != 201:
            raise ConfigError("start_failed", f"The backend gave no token: {found['message']}")
        why_alone = functools.partial(_why_alone, backend, headers)
        return Invitation(found["server_url"], found["participant_token"], why_alone)
    except (ValueError, KeyError, TypeError) as error:
        raise StreamError(
            "stream_malformed", f"What answers at {backend} is not Parley's backend."
        ) from error


async def _require_flow(client: httpx.AsyncClient, backend: str, flow: str) -> None:
    """Refuses a flow that is not there; a key that may not see flows finds out in the call."""
    answer = await client.get(f"{backend}/api/flows/{quote(flow, safe='')}")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        if answer.json()["code"] == "flow_not_found":
            raise FlowError("flow_not_found", f"--flow: there is no flow {flow!r} at {backend}.")


async def _why_alone(backend: str, headers: dict[str, str]) -> str:
    """The backend may know a worker: one that is well and does not come is full."""
    with contextlib.suppress(httpx.TransportError, ValueError, KeyError, TypeError):
        async with httpx.AsyncClient(trust_env=False, timeout=5, headers=headers) as client:
            worker = (await client.get(f"{backend}/api/status")).json()["parts"]["worker"]
        if worker["ready"]:
            return (
                f"All places are taken: the worker has {worker['calls']} calls and takes no more "
                "(MAX_CALLS). Try again in a moment."
            )
        return f"The worker is not well: {worker['detail']}. `parley doctor` tells more."
    return NOBODY_FREE


class Caller:
    """Joins a room, hears the agent and speaks to it. Enter it with `async with`.

    Args:
        invitation: From `invite`.
        on_line: Told each whole line of either side: `("you" | "agent", text)`.
        record: A WAV file for the agent's audio as it arrives, 48 kHz mono.
        microphone: Speak and hear through this machine's devices, with echo cancellation.

    Raises:
        ConfigError: `tool_missing` if the devices are wanted and there are none;
            `setting_invalid` if the recording cannot be written.
        StreamError: `backend_unavailable` if the room cannot be joined, or no agent comes.
        AccessError: `unauthorized` if the room's ticket is refused.
    """

    def __init__(
        self,
        invitation: Invitation,
        on_line: Callable[[str, str], None] = lambda who, text: None,
        *,
        record: Path | None = None,
        microphone: bool = False,
    ) -> None:
        self._invitation = invitation
        self._on_line = on_line
        self._record = record
        self._microphone = microphone
        self._room = rtc.Room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._source: rtc.AudioSource | None = None
        self._speech: asyncio.Queue[npt.NDArray[np.int16]] = asyncio.Queue(MAX_HELD_FRAMES)
        self._agent: rtc.RemoteParticipant | None = None
        self._changed = asyncio.Event()
        self._left: str | None = None
        self._sending: asyncio.Task[None] | None = None
        self._sent_all = False
        self._spoke = False
        self._recording: wave.Wave_write | None = None
        self.recorded_s = 0.0
        """Length of the agent's audio in the recording."""
        self.first_sound_at: float | None = None
        """`time.monotonic()` of the agent's first audible frame since `mark`."""

    async def __aenter__(self) -> Caller:
        """Connects, publishes a microphone track and waits until the agent listens."""
        async with contextlib.AsyncExitStack() as opened:
            self._recording = self._open_recording(opened)
            track = self._microphone_track(opened)
            self._listen_to_room()
            try:
                await self._room.connect(self._invitation.url, self._invitation.token)
            except rtc.ConnectError as error:
                raise _not_let_in(self._invitation.url, str(error)) from None
            opened.push_async_callback(self._room.disconnect)
            opened.push_async_callback(self._cancel_tasks)
            await self._room.local_participant.publish_track(
                track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            )
            if self._source is not None:
                opened.push_async_callback(self._stop_sending, self._source)
                self._sending = self._own(self._send_audio(self._source))
            for participant in self._room.remote_participants.values():
                self._meet(participant)
            await self._await_agent()
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leaves the room and finishes the recording."""
        await self._opened.aclose()

    @property
    def state(self) -> str | None:
        """The agent's: `initializing`, `listening`, `thinking`, `speaking`; None without one."""
        return self._agent.attributes.get(STATE_ATTRIBUTE) if self._agent is not None else None

    async def say(self, samples: npt.NDArray[np.int16]) -> None:
        """Speaks, and returns when the last sample has been sent.

        Args:
            samples: int16 [samples], mono, 48 kHz.
        """
        for start in range(0, len(samples), FRAME_SAMPLES):
            frame = samples[start : start + FRAME_SAMPLES]
            await self._speech.put(np.pad(frame, (0, FRAME_SAMPLES - len(frame))))
        await self._speech.join()

    async def write(self, text: str) -> None:
        """Types to the agent."""
        await self._room.local_participant.send_text(text, topic=CHAT_TOPIC)

    def mark(self) -> None:
        """From here on the next answer counts."""
        self._spoke = False
        self.first_sound_at = None

    async def answered(self, within_s: float) -> None:
        """Waits until the agent has spoken since `mark` and has no more to say, or has left.

        Raises:
            StreamError: `stream_stalled` if that takes too long, `stream_interrupted` if the room
                or the agent went away before the agent spoke.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self._spoke:
                    await self._change()
                await self._settled()
        except StreamError:
            if not self._spoke:
                raise
        except TimeoutError:
            raise StreamError(
                "stream_stalled",
                f"No answer within {within_s:g} s. `parley doctor` looks at each part.",
            ) from None

    async def gone(self) -> str:
        """Waits until the room or the agent goes away; gives the reason."""
        while self._left is None:
            with contextlib.suppress(StreamError):
                await self._change()
        return self._left

    # What happens in the room.

    def _listen_to_room(self) -> None:
        self._room.on("participant_connected", self._meet)
        self._room.on("participant_attributes_changed", self._on_attributes)
        self._room.on("track_subscribed", self._on_track)
        self._room.on("participant_disconnected", self._on_participant_left)
        self._room.on("disconnected", lambda reason: self._end(WHY_GONE.get(reason, LOST)))
        self._room.register_text_stream_handler(TRANSCRIPTION_TOPIC, self._on_text)

    def _meet(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            self._agent = participant
            self._changed.set()

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant is self._agent and STATE_ATTRIBUTE in changed:
            self._spoke = self._spoke or self.state == "speaking"
            self._changed.set()

    def _on_participant_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant is self._agent:
            self._end("the agent left")

    def _end(self, why: str) -> None:
        self._left = self._left or why
        self._changed.set()

    def _on_track(
        self, track: rtc.Track, publication: rtc.TrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._own(self._hear(track))

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._own(self._read_text(reader, identity))

    async def _read_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        try:
            text = (await reader.read_all()).strip()
        except rtc.StreamError:  # who wrote it has gone, which is told by itself
            return
        final = (reader.info.attributes or {}).get("lk.transcription_final") != "false"
        ours = identity == self._room.local_participant.identity
        # The agent's words come as one stream for each answer, ours as one for each guess.
        if text and (final or not ours):
            self._on_line("you" if ours else "agent", text)

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16)
                if self._recording is not None:
                    self._recording.writeframes(samples.tobytes())
                    self.recorded_s += len(samples) / RATE_HZ
                if self.first_sound_at is None and _loudness(samples) > AUDIBLE:
                    self.first_sound_at = time.monotonic()
        finally:
            await stream.aclose()

    async def _send_audio(self, source: rtc.AudioSource) -> None:
        """Sends what there is to say, else silence, as a microphone does."""
        silence = np.zeros(FRAME_SAMPLES, np.int16)
        while not self._sent_all:
            speaks = not self._speech.empty()
            samples = self._speech.get_nowait() if speaks else silence
            await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE_HZ, 1, FRAME_SAMPLES))
            if speaks:
                self._speech.task_done()

    async def _stop_sending(self, source: rtc.AudioSource) -> None:
        """Ends after the current frame: the native side must not find its caller gone."""
        self._sent_all = True
        if self._sending is not None:
            await asyncio.wait({self._sending})
        source.clear_queue()

    def _open_recording(self, opened: contextlib.AsyncExitStack) -> wave.Wave_write | None:
        if self._record is None:
            return None
        try:
            file = opened.enter_context(self._record.open("wb"))
        except OSError as error:
            raise ConfigError(
                "setting_invalid", f"--record {self._record} cannot be written: {error.strerror}."
            ) from error
        recording = wave.open(file, "wb")  # noqa: SIM115 - closed with the call
        opened.callback(recording.close)
        recording.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        recording.writeframes(b"")
        return recording

    def _microphone_track(self, opened: contextlib.AsyncExitStack) -> rtc.LocalAudioTrack:
        if not self._microphone:
            self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=QUEUE_MS)
            opened.push_async_callback(self._source.aclose)
            return rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        devices = open_devices()
        opened.callback(devices.close)
        source = devices.create_audio_source()
        opened.callback(source.close)
        return rtc.LocalAudioTrack.create_audio_track("microphone", source)

    async def _await_agent(self) -> None:
        try:
            async with asyncio.timeout(AGENT_WITHIN_S):
                while self.state is None:
                    await self._change()
                await self._settled()
        except TimeoutError:
            why_alone = self._invitation.why_alone
            reason = await why_alone() if why_alone is not None else NOBODY_FREE
            raise StreamError(
                "backend_unavailable",
                f"No agent came into the room within {AGENT_WITHIN_S:g} s. {reason}",
            ) from None

    async def _settled(self) -> None:
        """Waits until the agent has listened for a while."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLED_S if self.state == "listening" else None):
                    await self._change()
                    continue
            return

    async def _change(self) -> None:
        """Waits for the next change.

        Raises:
            StreamError: `stream_interrupted` if it is that the room or the agent is gone.
        """
        if self._left is None:
            self._changed.clear()
            await self._changed.wait()
        if self._left is not None:
            raise StreamError("stream_interrupted", f"The call ended: {self._left}.")

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(f"{type(error).__name__}: {error}")

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def open_devices() -> rtc.PlatformAudio:
    """This machine's microphone and speakers.

    Raises:
        ConfigError: `tool_missing` if there are none.
    """
    try:
        devices = rtc.PlatformAudio()
        microphones = devices.recording_devices()
    except rtc.PlatformAudioError as error:
        raise _no_devices() from error
    if not microphones:
        devices.close()
        raise _no_devices()
    return devices


def _not_let_in(url: str, told: str) -> ParleyError:
    """What LiveKit's client says holds the whole ticket, which is nobody's business."""
    why = told.rpartition("error: ")[2]
    if "401" not in told:
        return StreamError(
            "backend_unavailable",
            f"The room at {url} cannot be joined: {why}. Is the LiveKit server running?",
        )
    if "(exp)" in why or "(nbf)" in why:
        return AccessError(
            "unauthorized",
            f"The ticket to the room at {url} has expired, or is not valid yet. Ask for a new one; "
            "if it was new, the clocks of the backend and the LiveKit server differ by more than a "
            "minute.",
        )
    return AccessError(
        "unauthorized",
        f"The LiveKit server at {url} refuses the ticket that the backend gave ({why}): "
        "LIVEKIT_API_KEY and LIVEKIT_API_SECRET of the backend must be the server's.",
    )


def _no_devices() -> ConfigError:
    return ConfigError(
        "tool_missing",
        "This machine has no microphone and speakers that can be opened. Use --text to type, or "
        "--wav FILE to speak a recording.",
    )


def _loudness(samples: npt.NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float32) / 32768))))
