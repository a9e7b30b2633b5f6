"""Answers the calls of other replicas about the sessions that this one has."""

from __future__ import annotations

from typing import Any

from flow_backend.engine.engine import Engine
from flow_backend.engine.session import Session
from flow_backend.engine.turn import Turn
from protocol.turns import HeardReport, HeardTurn


class Service:
    """What one replica does for the others; a call is a JSON object with `op`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers: dict[tuple[str, str], set[str]] = {}
        """Replicas whose clients read a turn, by session uid and turn id."""

    async def __call__(self, call: dict[str, Any]) -> dict[str, Any]:
        """Serves a call.

        Raises:
            ParleyError: What the call comes to; `backend_unavailable` if this replica has not got
                the session.
        """
        flow_id, session_id = call["flow"], call["session"]
        if call["op"] == "release":
            await self._engine.hand_over(flow_id, session_id)
            return {}
        session = await self._engine.own_session(
            flow_id, session_id, make=call.get("make", False), owner=call.get("owner", "")
        )
        match call["op"]:
            case "find":
                return {"uid": session.uid, "owner": session.owner}
            case "show":
                return (await session.shown()).model_dump(mode="json")
            case "forget":
                await self._engine.forget_own(session)
                return {}
            case "end":
                await session.end()
                return {}
            case "prefill":
                await session.prefill()
                return {}
            case "start":
                turn = await session.start_turn(
                    call["input"],
                    call["turn"],
                    speculative=call["speculative"],
                    heard=[HeardTurn.model_validate(report) for report in call.get("heard", ())],
                )
                return self._read(session, turn, call["reader"])
        turn = await session.turn(call["turn"])
        match call["op"]:
            case "turn":
                return self._read(session, turn, call["reader"])
            case "leave":
                self._leave(session, turn, call["reader"])
            case "commit":
                await session.commit(turn)
            case "heard":
                report = HeardReport(
                    text=call["text"],
                    interrupted=call["interrupted"],
                    estimated=call.get("estimated", False),
                )
                await session.heard(turn, report)
            case "discard":
                await session.discard(turn)
        return {}

    def _read(self, session: Session, turn: Turn, reader: str) -> dict[str, Any]:
        if not turn.over.is_set():
            readers = self._readers.setdefault((session.uid, turn.id), set())
            if reader not in readers:
                readers.add(reader)
                turn.stream.follow()
        return {
            "uid": session.uid,
            "turn": turn.id,
            "last": turn.last_seq,
            "over": turn.over.is_set(),
        }

    def _leave(self, session: Session, turn: Turn, reader: str) -> None:
        readers = self._readers.get((session.uid, turn.id), set())
        if reader in readers:
            readers.remove(reader)
            turn.stream.unfollow()
            if not readers:
                del self._readers[session.uid, turn.id]
