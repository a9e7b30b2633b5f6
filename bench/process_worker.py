"""The worker with a process for each call, for `bench rooms`: every process has its own models."""

from __future__ import annotations

import asyncio
import functools
import logging

from livekit.agents import AgentServer, JobContext, JobProcess
from livekit.agents.job import JobExecutorType

from agent_worker.call import Call
from agent_worker.engines import SpeechEngines
from agent_worker.session import new_session
from agent_worker.settings import WorkerSettings
from protocol.settings import load_settings


def set_up(process: JobProcess) -> None:
    """Loads the engines before the process is given a call."""
    settings = load_settings(WorkerSettings)
    engines = SpeechEngines(settings)
    asyncio.run(engines.load())
    process.userdata["call"] = settings, functools.partial(new_session, settings, engines)


async def take_call(ctx: JobContext) -> None:
    """Serves one call."""
    await Call(ctx, *ctx.proc.userdata["call"]).start()


def main() -> None:
    """`python -m bench.process_worker`."""
    settings = load_settings(WorkerSettings)
    logging.basicConfig(level=settings.log_level)
    server = AgentServer(
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret.get_secret_value(),
        host=settings.worker_host,
        port=settings.worker_port,
        job_executor_type=JobExecutorType.PROCESS,
        num_idle_processes=1,
        initialize_process_timeout=120.0,
        load_fnc=lambda worker: len(worker.active_jobs) / settings.calls_at_once,
        load_threshold=1.0,
        job_memory_warn_mb=0,
        setup_fnc=set_up,
    )
    server.rtc_session(take_call, agent_name=settings.agent_name)
    asyncio.run(server.run())


if __name__ == "__main__":
    main()
