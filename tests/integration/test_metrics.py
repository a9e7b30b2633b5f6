"""What the processes count, against what they did and what the dashboard asks for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from livekit.agents.telemetry import metrics as livekit_metrics
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent_worker import metrics as worker
from agent_worker.barge_in import Kind
from agent_worker.waterfall import Stage, Waterfall
from flow_backend.llm.scripted import Reply
from tests.integration.backend_server import Backend, serve_backend

QUERIES = [
    target["expr"]
    for panel in json.loads(Path("deploy/grafana-dashboard.json").read_text())["panels"]
    for target in panel["targets"]
]
WORKER = (
    worker.ANSWER_S,
    worker.STAGE_S,
    worker.ANSWERS,
    worker.OVERHEARD,
    worker.WASTED,
    worker.WASTED_TOKENS,
    worker.FAILURES,
    worker.MODEL_LOAD_S,
    worker.TASKS,
    worker.HEAP_USED,
    worker.SMALL_OBJECTS,
    livekit_metrics.RUNNING_JOB_GAUGE,
    livekit_metrics.CPU_LOAD_GAUGE,
)


def figures(exposition: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus would show it."""
    found = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def scrape(backend: Backend) -> dict[str, float]:
    response = await backend.client.get("/metrics")
    assert response.status_code == 200
    return figures(response.text)


async def test_turns_are_counted_by_their_end() -> None:
    replies = [
        Reply(say="Hello there."),
        Reply(say="A wrong guess."),
        Reply(error="provider_unavailable"),
    ]
    async with serve_backend(replies) as backend:
        await backend.turn("s", "hi", "t1", flow="default")
        await backend.turn("s", "guess", "t2", flow="default", speculative="true")
        await backend.client.delete("/api/flows/default/sessions/s/turns/t2")
        failed = await backend.turn("s", "bad", "t3", flow="default")
        missing = await backend.client.get("/api/flows/nothing")
        found = await scrape(backend)
    assert missing.status_code == 404
    assert found["parley_turns_total{outcome=done}"] == 2
    assert found["parley_turns_total{outcome=failed}"] == 1
    assert found[f"parley_turn_errors_total{{code={failed[-1]['code']}}}"] == 1
    assert found["parley_turns_wasted_total"] == 1
    assert found["parley_turns_wasted_tokens_total"] > 0
    assert found["parley_turn_stage_seconds_count{stage=first_token}"] == 2
    assert found["parley_llm_tokens_total{kind=completion}"] > 0
    assert found["parley_sessions"] == 1
    assert found["parley_asyncio_tasks"] > 1
    # None with PYTHONMALLOC=malloc.
    assert found["parley_python_small_objects"] > 100_000 or "PYTHONMALLOC" in os.environ
    assert "parley_heap_used_bytes" in found
    assert found["parley_http_responses_total{route=/api/flows/{flow_id},status=404}"] == 1


async def test_what_loading_a_voice_took_is_told() -> None:
    async with serve_backend([]) as backend:
        before = await scrape(backend)
        spoken = await backend.client.post("/api/tts", json={"text": "Hello."})
        after = await scrape(backend)
    assert spoken.status_code == 200
    assert "parley_model_load_seconds{engine=piper}" not in before
    assert after["parley_model_load_seconds{engine=piper}"] > 0


def test_answers_are_counted_with_their_stages() -> None:
    registry = CollectorRegistry()
    for metric in WORKER:
        registry.register(metric)
    before = figures(generate_latest(registry).decode())
    stages = (Stage("vad", 0, 256), Stage("node talk", 260, 300), Stage("played", 420, 430))
    worker.answered(Waterfall("t", stages, 430, interrupted=True, wasted=1, wasted_tokens=7))
    worker.overheard(Kind.BACKCHANNEL)
    after = figures(generate_latest(registry).decode())
    changed = {name for name, value in after.items() if value != before.get(name, 0.0)}
    assert {
        "parley_answers_total{outcome=interrupted}",
        "parley_speculation_wasted_total",
        "parley_speculation_wasted_tokens_total",
        "parley_answer_stage_seconds_count{stage=vad}",
        "parley_answer_seconds_bucket{le=0.5}",
        "parley_overheard_total{kind=backchannel}",
    } <= changed
    assert "parley_answer_seconds_bucket{le=0.4}" not in changed
    assert not any("node" in name for name in changed)


async def test_the_dashboard_asks_for_what_there_is() -> None:
    registry = CollectorRegistry()
    for metric in WORKER:
        registry.register(metric)
    served = {s.name for family in registry.collect() for s in family.samples}
    served |= {f"{family.name}_total" for family in registry.collect() if family.type == "counter"}
    served |= {
        f"{family.name}_bucket" for family in registry.collect() if family.type == "histogram"
    }
    served |= {family.name for family in registry.collect() if family.type == "gauge"}
    async with serve_backend([]) as backend:
        exposition = (await backend.client.get("/metrics")).text
    for family in text_string_to_metric_families(exposition):
        suffix = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
        served.add(family.name + suffix)
    asked = {name for query in QUERIES for name in re.findall(r"\b(?:parley|lk)_\w+", query)}
    assert asked
    assert asked - served == set()
