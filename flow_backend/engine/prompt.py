"""Turns a session's history into the messages of a prompt.

What the user did not hear is not in the prompt. An answer that was cut off ends with a dash at
the cut, as a writer of dialogue would mark it; one of which nothing was heard is left out. An
empty input (the user said nothing) stands as an ellipsis. Messages of one role in a row are
joined, since some models insist on turns.
"""

from __future__ import annotations

from collections.abc import Iterable

from flow_backend.engine.state import Entry
from flow_backend.llm.base import Message

CUT = "—"
SILENCE = "…"


def build_prompt(
    instructions: str,
    history: Iterable[Entry],
    user_input: str,
    *,
    said: str = "",
    summary: str = "",
    passages: Iterable[str] = (),
) -> list[Message]:
    """The messages for the model's next answer.

    Args:
        instructions: The node's rendered instructions.
        history: Entries that are to be whole in the prompt, the oldest first.
        user_input: The turn's input.
        said: What the turn has spoken already, before this answer.
        summary: Of what came before `history`.
        passages: Texts that the answer may rest on.
    """
    system = [instructions.strip()]
    if summary:
        system.append(f"Earlier in this conversation: {summary}")
    found = [f"[{number}] {passage}" for number, passage in enumerate(passages, 1)]
    if found:
        system.append("What is known that may help:\n" + "\n".join(found))
    if said.strip():
        system.append(
            f"You have just said: «{said.strip()}». Go on from there and do not repeat it."
        )
    messages: list[Message] = []
    text = "\n\n".join(part for part in system if part)
    if text:
        messages.append(Message("system", text))
    for entry in history:
        _append(messages, entry.role, entry_text(entry))
    _append(messages, "user", user_input.strip() or SILENCE)
    return messages


def entry_text(entry: Entry) -> str:
    """An entry as prompts show it; empty if nothing of it was heard."""
    text = entry.text.strip()
    if entry.role == "user":
        return text or SILENCE
    return f"{text}{CUT}" if entry.interrupted and text else text


def _append(messages: list[Message], role: str, text: str) -> None:
    if not text:
        return
    if messages and messages[-1].role == role:
        text = f"{messages.pop().content}\n{text}"
    messages.append(Message("user" if role == "user" else "assistant", text))
