"""OpenTelemetry spans of turns, for those who set OTEL_EXPORTER_OTLP_ENDPOINT.

Worker and backend measure their turns anyway. When a turn is over, what they measured becomes
spans; without an endpoint nothing of OpenTelemetry is imported. The worker chooses a turn's trace
before it asks the backend, and names it in the header `traceparent` (W3C Trace Context), so that
both sides' spans join. No span holds anybody's words.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from protocol.settings import EnvSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class TracingSettings(EnvSettings):
    """Where spans go; OpenTelemetry reads its other variables itself."""

    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://.+",
        description=(
            "OpenTelemetry collector that takes a trace of each turn by OTLP over HTTP, such as "
            "http://127.0.0.1:4318; unset: none."
        ),
    )


Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class SpanIds:
    """Names a span in all processes."""

    trace_id: int
    span_id: int

    @classmethod
    def new(cls) -> SpanIds:
        """Of a trace that begins here."""
        return cls(secrets.randbits(128) or 1, secrets.randbits(64) or 1)

    @classmethod
    def from_header(cls, header: str | None) -> SpanIds | None:
        """Reads a `traceparent`; None for one that is not valid, as the standard asks."""
        found = _TRACEPARENT.fullmatch((header or "").strip())
        ids = cls(int(found[1], 16), int(found[2], 16)) if found else None
        return ids if ids is not None and ids.trace_id and ids.span_id else None

    @property
    def header(self) -> str:
        """The `traceparent` that makes spans elsewhere children of this one."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


_chosen: ContextVar[SpanIds | None] = ContextVar("chosen", default=None)


class Tracing:
    """Sends spans to a collector by OTLP over HTTP, in batches and from a thread of its own.

    Args:
        service: Names the process, unless OTEL_SERVICE_NAME does.
        endpoint: Root of the collector, such as `http://127.0.0.1:4318`. Headers, time limits and
            sampling are as OpenTelemetry's own variables say.
    """

    def __init__(self, service: str, endpoint: str) -> None:
        self._provider = _provider(service, f"{endpoint.rstrip('/')}/v1/traces")
        self._tracer = self._provider.get_tracer("parley")

    def span(
        self,
        name: str,
        start_s: float,
        end_s: float,
        *,
        parent: SpanIds | None = None,
        ids: SpanIds | None = None,
        attributes: Attributes | None = None,
    ) -> SpanIds:
        """Sends a span that is over.

        Args:
            name: What was done.
            start_s: Seconds since the epoch.
            end_s: The same; not before the start.
            parent: The span that it belongs to.
            ids: Chosen before; of the parent's trace if there is a parent.
            attributes: What else is known.
        """
        from opentelemetry import trace
        from opentelemetry.context import Context

        context = Context()
        if parent is not None:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            known = trace.SpanContext(parent.trace_id, parent.span_id, True, flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(known), context)
        token = _chosen.set(ids)
        try:
            span = self._tracer.start_span(
                name, context, attributes=dict(attributes or {}), start_time=round(start_s * 1e9)
            )
        finally:
            _chosen.reset(token)
        span.end(round(max(start_s, end_s) * 1e9))
        made = span.get_span_context()
        return SpanIds(made.trace_id, made.span_id)

    def close(self) -> None:
        """Sends what is left; waits for the collector some seconds at most."""
        self._provider.shutdown()


def tracing_to(endpoint: str | None, service: str) -> Tracing | None:
    """Tracing to a collector; None where there is none."""
    return Tracing(service, endpoint) if endpoint else None


def _provider(service: str, url: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class ChosenIds(RandomIdGenerator):
        """Ids that were chosen before the span was made, else random ones."""

        def generate_trace_id(self) -> int:
            ids = _chosen.get()
            return ids.trace_id if ids is not None else super().generate_trace_id()

        def generate_span_id(self) -> int:
            ids = _chosen.get()
            return ids.span_id if ids is not None else super().generate_span_id()

    resource = Resource({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, id_generator=ChosenIds(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return provider
