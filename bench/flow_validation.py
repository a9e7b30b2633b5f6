"""How long a large flow takes to check, beside reading its JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flow_backend.flows.validation import parse_flow

NODES = 500
RUNS = 20


@dataclass(frozen=True, slots=True)
class Validation:
    """Medians of one document."""

    nodes: int
    edges: int
    validation_ms: float
    reading_ms: float
    """Of `json.loads` alone."""


def measure() -> Validation:
    """Checks a flow of `NODES` nodes `RUNS` times."""
    document = large_flow(NODES)
    text = json.dumps(document)
    return Validation(
        nodes=len(document["nodes"]),
        edges=len(document["edges"]),
        validation_ms=_median_ms(lambda: parse_flow(document)),
        reading_ms=_median_ms(lambda: json.loads(text)),
    )


def large_flow(nodes: int) -> dict[str, Any]:
    """A valid flow: rounds of talk, extraction, assignment and a split by expression.

    Args:
        nodes: At least so many.
    """
    rounds = -(-(nodes - 2) // 4)
    found: list[dict[str, Any]] = [{"id": "start", "type": "start", "data": {}}]
    edges: list[dict[str, Any]] = []

    def edge(source: str, target: str, **data: str) -> None:
        edges.append({"id": f"e{len(edges)}", "source": source, "target": target, "data": data})

    edge("start", "talk0")
    for i in range(rounds):
        after = f"talk{i + 1}" if i + 1 < rounds else "bye"
        found += [
            {
                "id": f"talk{i}",
                "type": "conversation",
                "data": {"instructions": f"Ask {{{{ name | default: 'them' }}}} for day {i}."},
            },
            {
                "id": f"extract{i}",
                "type": "extract",
                "data": {
                    "schema": {
                        "type": "object",
                        "properties": {f"day{i}": {"type": "integer"}, "name": {"type": "string"}},
                        "required": [f"day{i}"],
                    }
                },
            },
            {
                "id": f"set{i}",
                "type": "set",
                "data": {"assignments": [{"name": f"next{i}", "expression": f"day{i} + 1"}]},
            },
            {"id": f"split{i}", "type": "logic_split"},
        ]
        edge(f"talk{i}", f"extract{i}", condition_type="llm", condition="a day was named")
        edge(f"extract{i}", f"set{i}")
        edge(f"extract{i}", f"talk{i}", condition_type="event", condition="error")
        edge(f"set{i}", f"split{i}")
        edge(f"split{i}", after, condition_type="expression", condition=f"next{i} > 7")
        edge(f"split{i}", f"talk{i}")
    found.append({"id": "bye", "type": "end", "data": {"text": "Goodbye, {{ name }}."}})
    return {"id": "large", "name": "Large", "nodes": found, "edges": edges}


def _median_ms(work: Callable[[], object]) -> float:
    times_ms = []
    for _ in range(RUNS):
        begun_s = time.perf_counter()
        work()
        times_ms.append((time.perf_counter() - begun_s) * 1000)
    return statistics.median(times_ms)
