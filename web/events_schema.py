"""Prints a JSON Schema from which the client's types are generated: `events` or `voice_messages`.

Run by `npm run events`; a test holds the committed types against it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).parent.parent))

from protocol.events import TurnEvent
from protocol.voice import ServerMessage

KINDS: dict[str, tuple[Any, str, str]] = {
    "events": (TurnEvent, "TurnEvent", "Event"),
    "voice_messages": (ServerMessage, "ServerMessage", ""),
}
"""By name: the type, its name in TypeScript, and what is added to those of its members."""


def schema_of(kind: str) -> dict[str, Any]:
    """Titles of fields are left out: each would become a type of its own."""
    model, title, suffix = KINDS[kind]
    schema = TypeAdapter(model).json_schema(mode="serialization")
    for name, member in list(schema["$defs"].items()):
        member["title"] = f"{name}{suffix}"
        member["additionalProperties"] = False
        member["required"] = list(member["properties"])
        for field in member["properties"].values():
            field.pop("title", None)
    schema["title"] = title
    return schema


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema_of(sys.argv[1]), indent=1))
