"""The worker: registers with the LiveKit server and takes the calls that it is given.

Calls run in threads of this process and share its speech engines; docs/adr says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import AbstractAsyncContextManager

from livekit.agents import AgentServer, JobContext
from livekit.agents.job import JobExecutorType

from agent_worker import metrics
from agent_worker.call import Call
from agent_worker.flow_executor import tls_context
from agent_worker.health import HealthPage
from agent_worker.session import SessionFactory
from agent_worker.settings import WorkerSettings
from protocol.errors import ConfigError
from protocol.tracing import Tracing, tracing_to

logger = logging.getLogger(__name__)

IDLE_THREADS = 2
"""Threads that wait for a call, so that a caller need not."""
GOODBYE_S = 8.0
"""Time for the last words of calls that are still going on when a stopping worker must end."""


def new_server(
    settings: WorkerSettings,
    make_session: SessionFactory,
    calls: set[Call],
    tracing: Tracing | None = None,
) -> AgentServer:
    """The worker, ready to run. To be called on the main thread.

    Args:
        settings: The worker's.
        make_session: Makes the session of a call.
        calls: Where the running calls are kept; they add and remove themselves on their threads.
        tracing: Where traces of the turns go; None: nowhere.
    """
    if settings.brain != "flow":
        from agent_worker import direct

        direct.prepare(settings)
    server = AgentServer(
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret.get_secret_value(),
        # LiveKit's own page knows nothing of draining: ours is where people look.
        host="127.0.0.1",
        port=0,
        prometheus_port=settings.worker_metrics_port,
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=min(IDLE_THREADS, settings.calls_at_once),
        # The load is the share of calls that are taken: a core's load says nothing about
        # whether one more caller can be served in time.
        load_fnc=lambda worker: len(worker.active_jobs) / settings.calls_at_once,
        load_threshold=1.0,
        drain_timeout=settings.drain_s,
        job_memory_warn_mb=0,
        log_level=settings.log_level,
    )

    async def take_call(ctx: JobContext) -> None:
        call = Call(ctx, settings, make_session, tracing)
        calls.add(call)

        async def forget() -> None:
            calls.discard(call)

        ctx.add_shutdown_callback(forget)
        await call.start()

    server.rtc_session(take_call, agent_name=settings.agent_name)
    return server


async def serve(settings: WorkerSettings, make_session: SessionFactory) -> None:
    """Registers, and works until SIGTERM or SIGINT.

    The first signal lets the calls end, for `drain_s` at most, with a goodbye to those that do not;
    a second one ends them.

    Raises:
        ConfigError: `start_failed`: LiveKit could not be reached, or refused, many times;
            `port_in_use`: so is the health page's.
    """
    if settings.backend_url.startswith("https:"):
        await asyncio.to_thread(tls_context)
    tracing = tracing_to(settings.otel_exporter_otlp_endpoint, "parley-worker")
    calls: set[Call] = set()
    server = new_server(settings, make_session, calls, tracing)
    asked, again = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (again if asked.is_set() else asked).set()

    loop = asyncio.get_running_loop()
    metrics.TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    waiting = asyncio.create_task(asked.wait())
    running: asyncio.Task[None] | None = None
    try:
        async with _mover(settings), HealthPage(server, settings):
            running = asyncio.create_task(server.run())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await _drain(server, calls, settings.drain_s, again)
                await server.aclose()
            await running
    except RuntimeError as error:
        raise ConfigError(
            "start_failed",
            f"LiveKit at {settings.livekit_url} takes no worker ({error}). Is the server running, "
            "and do LIVEKIT_API_KEY and LIVEKIT_API_SECRET fit it?",
        ) from error
    finally:
        waiting.cancel()
        if running is not None:
            running.cancel()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


def _mover(settings: WorkerSettings) -> AbstractAsyncContextManager[object]:
    if settings.recordings_bucket is None:
        return contextlib.nullcontext()
    from agent_worker.bucket import Bucket, Mover

    assert settings.recordings_dir is not None
    bucket = Bucket(settings)
    return Mover(settings.recordings_dir, bucket, kept_days=settings.recordings_kept_days)


async def _drain(server: AgentServer, calls: set[Call], drain_s: int, hurry: asyncio.Event) -> None:
    """Takes no new calls and waits for the running ones to end, unless told to hurry."""
    draining = asyncio.ensure_future(server.drain(drain_s))
    hurrying = asyncio.ensure_future(hurry.wait())
    either = {draining, hurrying}
    try:
        grace_s = max(0.0, drain_s - GOODBYE_S)
        await asyncio.wait(either, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        if not hurrying.done():
            # The copy is made in one step, whatever other threads do to the set.
            for call in tuple(calls):
                call.dismiss()
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurrying.cancel()
        draining.cancel()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await draining
