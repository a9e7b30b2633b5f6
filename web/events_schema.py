"""Prints the JSON Schema of a turn's events, from which the client's types are generated.

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


def events_schema() -> dict[str, Any]:
    """Titles of fields are left out: each would become a type of its own."""
    schema = TypeAdapter(TurnEvent).json_schema(mode="serialization")
    for name, model in list(schema["$defs"].items()):
        model["title"] = f"{name}Event"
        model["additionalProperties"] = False
        model["required"] = list(model["properties"])
        for field in model["properties"].values():
            field.pop("title", None)
    schema["title"] = "TurnEvent"
    return schema


if __name__ == "__main__":
    sys.stdout.write(json.dumps(events_schema(), indent=1))
