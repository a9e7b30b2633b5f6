"""What of the caller's speech reaches the session: all that is not just said over the agent."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from livekit.agents import stt
from livekit.agents.voice import SpeechHandle

from agent_worker import metrics as counts
from agent_worker.barge_in import Floor, Kind, judge
from agent_worker.waterfall import Waterfalls

logger = logging.getLogger(__name__)

_TRANSCRIPTS = frozenset(
    {
        stt.SpeechEventType.INTERIM_TRANSCRIPT,
        stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
        stt.SpeechEventType.FINAL_TRANSCRIPT,
    }
)


class Listening:
    """Who speaks over whom in one call.

    Args:
        waterfalls: Told when transcripts come.
    """

    def __init__(self, waterfalls: Waterfalls) -> None:
        self.floor = Floor()
        self._waterfalls = waterfalls
        self._spoken_over: SpeechHandle | None = None

    @property
    def speaks_over(self) -> bool:
        """The caller's latest speech began while the agent was heard."""
        return self._spoken_over is not None

    def agent_began(self, speech: SpeechHandle) -> None:
        """The agent is heard."""
        self.floor.began(speech.id, time.time())

    def caller_began(self, agents: SpeechHandle | None) -> None:
        """The caller speaks, while this speech of the agent's is played or prepared."""
        begun = agents is not None and self.floor.has_begun(agents.id)
        self._spoken_over = agents if begun else None

    def transcribed(self, event: stt.SpeechEvent) -> stt.SpeechEvent | None:
        """Takes words away that were said over the agent, but not to it."""
        if (
            event.type not in _TRANSCRIPTS
            or not event.alternatives
            or not event.alternatives[0].text
        ):
            return event
        final = event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
        if (kind := self._judged(event.alternatives[0])) is not Kind.INTERRUPTION:
            if not final:
                return None
            logger.info("Somebody spoke over the agent: %s", kind.value)
            counts.overheard(kind)
            # A final transcript is waited for; without words it ends nothing.
            return replace(event, alternatives=[replace(event.alternatives[0], text="")])
        if final:
            self._waterfalls.final()
        elif event.type is stt.SpeechEventType.PREFLIGHT_TRANSCRIPT:
            self._waterfalls.preflight()
        return event

    def _judged(self, heard: stt.SpeechData) -> Kind:
        speech = self._spoken_over
        if speech is None or speech.done() or speech.interrupted:
            return Kind.INTERRUPTION
        return judge(
            heard.text,
            duration_s=max(0.0, heard.end_time - heard.start_time),
            confidence=heard.confidence,
            agent_text=self.floor.said(speech.id, time.time()),
        )
