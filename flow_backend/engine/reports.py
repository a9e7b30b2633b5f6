"""Reports of what the user heard of a turn: they correct what a session remembers of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow_backend.engine.old_turns import OldTurns
from flow_backend.engine.rewind import take_back
from flow_backend.engine.state import Entry, note_heard
from flow_backend.engine.turn import Turn
from protocol.errors import FlowError
from protocol.turns import HeardReport, HeardTurn

if TYPE_CHECKING:
    from flow_backend.engine.session import Session

log = logging.getLogger(__name__)


class HeardReports:
    """One session's.

    Args:
        session: The session.
        old: Where turns are that its history no longer has.
    """

    def __init__(self, session: Session, old: OldTurns) -> None:
        self._session = session
        self._old = old

    async def take(self, turn: Turn, report: HeardReport) -> None:
        """Takes a report of a committed turn, and hands the session in; the last report counts.

        Raises:
            FlowError: `turn_conflict` for a turn that is not committed.
        """
        session = self._session
        if not turn.committed:
            raise FlowError(
                "turn_conflict", f"Turn {turn.id!r} is not committed: nothing of it can be heard."
            )
        if not turn.concluded:
            if not report.interrupted:
                raise FlowError(
                    "turn_conflict",
                    f"Turn {turn.id!r} still speaks: report once its stream has ended, or with "
                    "`interrupted`.",
                )
            session.leave(turn, "interrupted")
        # Nothing can be heard of a turn that has said nothing.
        text = report.text if turn.pieces or turn.past else ""
        heard = Entry("assistant", text, turn.id, heard=True)
        heard.interrupted, heard.estimated = report.interrupted, report.estimated
        here = any(entry.turn_id == turn.id for entry in session.state.history)
        if here or not (turn.merged and await self._old.note_heard(turn.input, heard)):
            note_heard(session.state.history, turn.input, heard)
            if report.interrupted and turn.id == session.last_merged:
                take_back(session.state, turn.rewind, report.text)
        session.save()

    async def take_carried(self, reports: Sequence[HeardTurn]) -> None:
        """Takes the reports that a new turn carries, as far as they can be taken."""
        for report in reports:
            try:
                turn = await self._session.begun(report.turn_id)
                if not turn.committed:
                    # Only what was committed is heard: the commit is still on its way.
                    await self._session.commit(turn)
                await self.take(turn, report)
            except FlowError as error:
                # The new turn begins all the same: its user has spoken.
                log.info("session %s: a report of a turn: %s", self._session.id, error.code)
