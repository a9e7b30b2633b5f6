"""What the backend counts (Prometheus). No label holds anything that a client chose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protocol.events import Cancelled, Error, Event
from protocol.heap import heap, small_objects

if TYPE_CHECKING:
    from flow_backend.access.admission import Admission
    from flow_backend.doors.voices import Voices
    from flow_backend.engine.engine import Engine
    from flow_backend.engine.turn import Turn

_STAGES_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 5, 10, 30, 60)


class Metrics:
    """The app's own registry, so that several apps in one process do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._turns = Counter(
            "parley_turns",
            "Turns that ended: done, failed, or the reason for which they were stopped.",
            ["outcome"],
            registry=self.registry,
        )
        self._stages = Histogram(
            "parley_turn_stage_seconds",
            "From a turn's request to the model's request, the first token, and the end.",
            ["stage"],
            buckets=_STAGES_S,
            registry=self.registry,
        )
        self._errors = Counter(
            "parley_turn_errors",
            "Turns that failed, by the error's code.",
            ["code"],
            registry=self.registry,
        )
        self._wasted = Counter(
            "parley_turns_wasted",
            "Speculative turns that were taken back.",
            registry=self.registry,
        )
        self._wasted_pieces = Counter(
            "parley_turns_wasted_tokens",
            "Tokens of speculative turns that were taken back.",
            registry=self.registry,
        )
        self._tokens = Counter(
            "parley_llm_tokens",
            "Tokens that language models read and wrote, as they count them.",
            ["kind"],
            registry=self.registry,
        )
        self._responses = Counter(
            "parley_http_responses",
            "Responses by route and status.",
            ["route", "status"],
            registry=self.registry,
        )

    def hold(self, engine: Engine, voices: Voices, admission: Admission) -> None:
        """Takes up the figures that others keep."""
        self.registry.register(_Held(engine, voices, admission))

    def turn_over(self, turn: Turn, event: Event) -> None:
        """Counts a turn by its terminal event."""
        outcome = "done"
        if isinstance(event, Error):
            outcome = "failed"
            self._errors.labels(event.code).inc()
        elif isinstance(event, Cancelled):
            outcome = event.reason
        self._turns.labels(outcome).inc()
        for stage, passed_ms in turn.timings_ms.items():
            self._stages.labels(stage).observe(passed_ms / 1000)
        for kind in ("prompt", "completion"):
            self._tokens.labels(kind).inc(turn.usage.get(f"{kind}_tokens", 0))

    def wasted(self, turn: Turn) -> None:
        """Counts a speculative turn that was taken back."""
        self._wasted.inc()
        self._wasted_pieces.inc(len(turn.pieces))

    def responded(self, route: str, status: int) -> None:
        """Counts a response."""
        self._responses.labels(route, str(status)).inc()


class CountResponses:
    """ASGI middleware: counts each HTTP response by the route's pattern and its status."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.responded(route, message["status"])
            await send(message)

        await self._app(scope, receive, counted)


class _Held(Collector):
    """Reads figures where they are kept, at the moment they are asked for."""

    def __init__(self, engine: Engine, voices: Voices, admission: Admission) -> None:
        self._engine = engine
        self._admission = admission
        self._voices = voices

    def collect(self) -> Iterable[Metric]:
        engine, cache, admission = self._engine, self._voices.cache, self._admission
        for name, text, value in (
            ("parley_sessions", "Sessions in memory.", engine.session_count),
            ("parley_sessions_busy", "Sessions with a turn that runs.", engine.busy_count),
            (
                "parley_synthesis_waiting",
                "Pieces of speech that wait for a thread.",
                self._voices.engines.waiting,
            ),
            ("parley_audio_cache_bytes", "Audio in the cache.", cache.size_bytes),
            ("parley_heap_used_bytes", "What malloc has given out (glibc).", heap().used),
            ("parley_python_small_objects", "Python's blocks up to 512 bytes.", small_objects()),
            ("parley_asyncio_tasks", "Tasks of the event loop.", len(asyncio.all_tasks())),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        taken = GaugeMetricFamily("parley_places_taken", "What runs, by kind.", labels=["kind"])
        places = GaugeMetricFamily("parley_places", "What may run, by kind.", labels=["kind"])
        for kind in (admission.streams, admission.spoken, admission.sockets):
            taken.add_metric([kind.name], kind.taken)
            places.add_metric([kind.name], kind.most)
        yield from (taken, places)
        loading = GaugeMetricFamily(
            "parley_model_load_seconds", "What loading speech models took.", labels=["engine"]
        )
        for name, passed_s in self._voices.engines.loading_s.items():
            loading.add_metric([name], passed_s)
        yield loading
        requests = CounterMetricFamily(
            "parley_audio_cache_requests", "Texts looked up in the audio cache.", labels=["result"]
        )
        requests.add_metric(["hit"], cache.hits)
        requests.add_metric(["joined"], cache.joined)
        requests.add_metric(["miss"], cache.misses)
        yield requests
