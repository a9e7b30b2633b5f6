"""What the backend counts (Prometheus)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flow_backend.engine.engine import Engine
from speech.tts.cache import AudioCache


class Metrics:
    """The app's own registry, so that several apps in one process do not share counts."""

    def __init__(self, engine: Engine, cache: AudioCache) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Held(engine, cache))


class _Held(Collector):
    """Reads figures where they are kept, at the moment they are asked for."""

    def __init__(self, engine: Engine, cache: AudioCache) -> None:
        self._engine = engine
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "parley_sessions", "Sessions in memory.", value=self._engine.session_count
        )
        requests = CounterMetricFamily(
            "parley_audio_cache_requests", "Texts looked up in the audio cache.", labels=["result"]
        )
        requests.add_metric(["hit"], self._cache.hits)
        requests.add_metric(["miss"], self._cache.misses)
        yield requests
        yield GaugeMetricFamily(
            "parley_audio_cache_bytes", "Audio in the cache.", value=self._cache.size_bytes
        )
