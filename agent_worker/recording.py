"""Recordings of calls, where they are asked for: sound and account as two files of one name."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.voice.recorder_io import RecorderIO

from protocol.recordings import ACCOUNT_SUFFIX, SOUND_SUFFIX, forget_old

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


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
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        sound = folder / f"{name}{SOUND_SUFFIX}"
        try:
            await asyncio.to_thread(_prepare, sound, kept_days)
        except OSError as error:
            logger.error("The call is not recorded: %s: %s", folder, error.strerror)
            return None
        recorder = RecorderIO(agent_session=session)
        session.input.audio = recorder.record_input(session.input.audio)
        session.output.audio = recorder.record_output(session.output.audio)
        await recorder.start(output_path=sound)
        return cls(session, recorder, sound)

    async def end(self, about: CallAbout) -> None:
        """Closes the files; the account is written last, so that whole recordings have one."""
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
            await asyncio.to_thread(_write, self._sound.with_suffix(ACCOUNT_SUFFIX), account)
        except OSError as error:
            logger.error("The account of a recording was not written: %s", error.strerror)


def _prepare(sound: Path, kept_days: float) -> None:
    sound.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    forget_old(sound.parent, older_than_s=kept_days * DAY_S)
    sound.touch(mode=0o600, exist_ok=False)


def _write(path: Path, account: dict[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(account, ensure_ascii=False, indent=1), encoding="utf-8")
