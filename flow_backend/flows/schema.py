"""The JSON Schema of flow documents, for editors and for whoever writes flows by program.

`python -m flow_backend.flows.schema > docs/flow.schema.json` writes the published one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from flow_backend.flows.document import Flow
from flow_backend.nodes.catalogue import NODE_TYPES

_REFERENCES = "#/$defs/{model}"


def flow_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. What it cannot say (edges that lead somewhere) validation checks."""
    schema = Flow.model_json_schema(by_alias=True, ref_template=_REFERENCES)
    definitions = schema["$defs"]
    plain = definitions.pop("Node")
    kinds = []
    for node_type in NODE_TYPES:
        data = node_type.data_model.model_json_schema(by_alias=True, ref_template=_REFERENCES)
        definitions.update(data.pop("$defs", {}))
        definitions[data["title"]] = data
        names = [node_type.name, *node_type.aliases]
        kinds.append(
            {
                **plain,
                "title": f"{node_type.name} node",
                "description": (type(node_type).__doc__ or "").partition("\n")[0],
                "properties": {
                    **plain["properties"],
                    "type": {"enum": names} if len(names) > 1 else {"const": names[0]},
                    "data": {"$ref": _REFERENCES.format(model=data["title"])},
                },
                "required": [*plain["required"], *(["data"] if data.get("required") else [])],
            }
        )
    definitions["Node"] = {"title": "Node", "oneOf": kinds}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parley flow",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """The schema as docs/flow.schema.json holds it."""
    return json.dumps(flow_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
