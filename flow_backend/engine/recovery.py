"""What becomes of turns whose process died."""

from __future__ import annotations

from collections.abc import Collection

from flow_backend.engine.state import Entry, SessionState
from flow_backend.engine.stream import spoken_text
from flow_backend.store.sessions import SessionStore


async def recover_lost_turns(
    store: SessionStore, silent_since: float, in_use: Collection[str] = ()
) -> int:
    """Puts what lost turns had said into their sessions' histories; gives their number.

    Such a turn's stream ends with `error`, code `stream_interrupted`; the session stands where it
    stood before the turn.

    Args:
        store: The sessions.
        silent_since: Unix seconds; running turns that were not renewed since are lost.
        in_use: Uids of sessions that this process has: their turns are not, whatever the clock.
    """
    lost = await store.take_lost_turns(silent_since, in_use)
    for uid, turn_id in lost:
        turn = await store.turn(uid, turn_id)
        stored = await store.state(uid)
        if turn is None or stored is None:
            continue
        state = SessionState.from_dict(stored)
        if any(entry.turn_id == turn_id for entry in state.history):
            continue
        state.history.append(Entry("user", turn.input, turn_id, heard=True))
        text = spoken_text(turn.frames)
        if text:
            state.history.append(Entry("assistant", text, turn_id, interrupted=True))
        await store.save_state(uid, state.as_dict())
    return len(lost)
