"""A turn's trace as a collector gets it from worker and backend, over real sockets."""

from __future__ import annotations

import asyncio

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_worker.conversation import Conversation
from agent_worker.flow_executor import FlowExecutor
from agent_worker.turn_trace import send_trace
from protocol.tracing import SpanIds, Tracing
from tests.integration.backend_server import serve_app, serve_backend

QUESTION = "What is my secret question?"


class Collector:
    """Takes what is exported."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.services: dict[str, str] = {}
        self.raw = b""
        self.app = Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.raw += await request.body()
        told = ExportTraceServiceRequest.FromString(await request.body())
        for resource in told.resource_spans:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.name] = span
                    self.services[span.name] = about["service.name"]
        return Response(media_type="application/x-protobuf")


async def test_the_spans_of_worker_and_backend_join() -> None:
    collector = Collector()
    async with serve_app(collector.app) as url:
        tracing = Tracing("parley-worker", url)
        async with serve_backend(["A secret answer."], otel_exporter_otlp_endpoint=url) as backend:
            await backend.add_flow(
                [
                    {"id": "start", "type": "start", "data": {}},
                    {"id": "talk", "type": "conversation", "data": {"instructions": "x"}},
                ],
                [("start", "talk", {"condition_type": "always"})],
            )
            async with FlowExecutor("f", backend_url=backend.url) as executor:
                conversation = Conversation(executor, traced=True)
                turn = conversation.open_turn(QUESTION, "t1")
                conversation.waterfalls.committed("t1", {})
                conversation.commit("t1")
                async for _ in turn.events():
                    pass
                waterfall = conversation.waterfalls.finished("t1", {}, interrupted=False)
                span = conversation.span_of("t1")
                assert waterfall is not None
                assert span is not None
                send_trace(tracing, waterfall, span)
                conversation.heard("t1", "A secret answer.", interrupted=False)
                await conversation.aclose()
        await asyncio.to_thread(tracing.close)
    spans = collector.spans
    assert {"turn", "request", "first_token", "flow turn", "node talk", "node start"} <= set(spans)
    assert {span.trace_id for span in spans.values()} == {spans["turn"].trace_id}
    assert spans["turn"].parent_span_id == b""
    assert spans["flow turn"].parent_span_id == spans["turn"].span_id
    assert spans["node talk"].parent_span_id == spans["flow turn"].span_id
    assert spans["model, first token"].parent_span_id == spans["flow turn"].span_id
    assert collector.services["turn"] == "parley-worker"
    assert collector.services["flow turn"] == "parley-backend"
    for span in spans.values():
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    begun_ns = spans["turn"].start_time_unix_nano
    assert abs(spans["flow turn"].start_time_unix_nano - begun_ns) < 5e9
    assert b"secret" not in collector.raw


def test_a_header_that_is_not_valid_is_passed_over() -> None:
    ids = SpanIds.new()
    assert SpanIds.from_header(ids.header) == ids
    for header in (None, "", "00-0-0-01", f"00-{0:032x}-{1:016x}-01", ids.header.upper() + "x"):
        assert SpanIds.from_header(header) is None


async def test_without_a_collector_no_span_is_named() -> None:
    async with serve_backend(["Hello."]) as backend:
        assert backend.app.state.tracing is None
        async with FlowExecutor("f", backend_url=backend.url) as executor:
            conversation = Conversation(executor)
            turn = conversation.open_turn(QUESTION, "t1")
            assert conversation.span_of("t1") is None
            assert turn.flow_turn.span is None
