"""Recordings of calls, where they are asked for: sound and account as two files of one name."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.voice.recorder_io import RecorderIO

from protocol.recordings import ACCOUNT_SUFFIX, PART_SUFFIX, SOUND_SUFFIX, forget_old

logger = logging.getLogger(__name__)

DAY_S = 86_400.0
OGG_PAGE_BYTES = 27 + 255 + 255 * 255
"""No page is longer."""


@dataclass(frozen=True, slots=True)
class CallAbout:
    """Whose call it was."""

    room: str
    participant: str
    sessions: list[dict[str, str]]
    """`flow_id` and `session_id` of each flow that answered, in their order; by them a person's
    recordings are found and deleted."""


class Recording:
    """One call, as it goes on. Made by `begin`.

    The sound is Ogg Opus in stereo, the caller left and the agent right as far as it was played.
    The account is JSON: whose call it was, when it began, and each message as it was heard, with
    seconds from the beginning of the sound.

    Both have names that end in `.part` until they are whole. A recording that cannot be written to
    its end, as on a full disk, is deleted: without an account nobody would find it when a person's
    data are to be deleted.
    """

    def __init__(self, session: AgentSession[Any], recorder: RecorderIO, sound: Path) -> None:
        self._session = session
        self._recorder = recorder
        self._sound = sound

    @classmethod
    async def begin(
        cls, session: AgentSession[Any], folder: Path, *, kept_days: float
    ) -> Recording | None:
        """Records a session that has started, and forgets recordings that are too old.

        Gives None, and says why, if the folder cannot be written: the call goes on without.
        """
        assert session.input.audio is not None
        assert session.output.audio is not None
        # Other workers' recordings may come into the same bucket.
        name = f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S.%fZ')}-{secrets.token_hex(4)}"
        sound = folder / f"{name}{SOUND_SUFFIX}"
        try:
            await asyncio.to_thread(_prepare, sound, kept_days)
        except OSError as error:
            logger.error("The call is not recorded: %s: %s", folder, error.strerror)
            return None
        recorder = RecorderIO(agent_session=session)
        session.input.audio = recorder.record_input(session.input.audio)
        session.output.audio = recorder.record_output(session.output.audio)
        await recorder.start(output_path=_part(sound))
        return cls(session, recorder, sound)

    async def end(self, about: CallAbout) -> None:
        """Closes the files and gives them their names, or deletes them and says why."""
        began_s = self._recorder.recording_started_at or time.time()
        await self._recorder.aclose()
        account = {
            **asdict(about),
            "began_at": datetime.fromtimestamp(began_s, UTC).isoformat(timespec="milliseconds"),
            "messages": [
                {
                    "role": item.role,
                    "text": item.text_content or "",
                    "interrupted": item.interrupted,
                    "at_s": round(item.created_at - began_s, 3),
                }
                for item in self._session.history.items
                if isinstance(item, llm.ChatMessage) and item.role in ("user", "assistant")
            ],
        }
        try:
            await asyncio.to_thread(_finish, self._sound, account)
        except OSError as error:
            logger.error(
                "The call's recording was given up: %s: %s", self._sound.parent, error.strerror
            )


def _prepare(sound: Path, kept_days: float) -> None:
    sound.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    forget_old(sound.parent, older_than_s=kept_days * DAY_S)
    _part(sound).touch(mode=0o600, exist_ok=False)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}{PART_SUFFIX}")


def _finish(sound: Path, account: dict[str, Any]) -> None:
    path = sound.with_suffix(ACCOUNT_SUFFIX)
    try:
        if not _ends(_part(sound)):
            free_mb = shutil.disk_usage(sound.parent).free / 1e6
            raise OSError(
                errno.EIO, f"the sound was not written to its end; {free_mb:.1f} MB are free there"
            )
        _part(path).touch(mode=0o600)
        text = json.dumps(account, ensure_ascii=False, indent=1)
        _part(path).write_text(text, encoding="utf-8")
        _part(sound).replace(sound)
        _part(path).replace(path)
    except OSError:
        for left in (_part(sound), _part(path), sound):
            left.unlink(missing_ok=True)
        raise


def _ends(sound: Path) -> bool:
    """Whether an Ogg file's last page says that it is the last (RFC 3533, section 6).

    The encoder tells of its failures in the log alone.
    """
    with sound.open("rb") as file:
        file.seek(max(0, sound.stat().st_size - OGG_PAGE_BYTES))
        tail = file.read(OGG_PAGE_BYTES)
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return False
    segments = tail[start + 27 : start + 27 + tail[start + 26]]
    whole = start + 27 + tail[start + 26] + sum(segments) == len(tail)
    return whole and bool(tail[start + 5] & 0x04)
