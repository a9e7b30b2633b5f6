"""Puts the backend's parts together as an ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from flow_backend.api import sessions, turns
from flow_backend.api.errors import add_error_handlers
from flow_backend.doors import token
from flow_backend.engine.engine import Engine, EngineLimits, EngineParts, Models
from flow_backend.engine.plan import make_plan
from flow_backend.flows.folder import BUILTIN, load_folder
from flow_backend.llm.registry import LLMRegistry
from flow_backend.settings import BackendSettings


def create_app(settings: BackendSettings, *, models: Models | None = None) -> FastAPI:
    """Makes the app; its parts open with the ASGI lifespan and close with it.

    Args:
        settings: The process's settings.
        models: In place of the ones that the settings name: for tests and benchmarks.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        registry = LLMRegistry(settings)
        flows = load_folder(BUILTIN) + (
            load_folder(settings.flows_dir) if settings.flows_dir else []
        )
        plans = {flow.id: make_plan(flow, 1) for flow in flows}
        limits = EngineLimits(reader_grace_s=settings.reader_grace_s)
        engine = Engine(EngineParts(models or registry, limits), plans)
        app.state.engine = engine
        try:
            yield
        finally:
            await engine.aclose()
            await registry.aclose()

    app = FastAPI(title="Parley", lifespan=lifespan)
    app.state.settings = settings
    add_error_handlers(app)
    app.include_router(sessions.router)
    app.include_router(turns.router)
    app.include_router(token.router)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, str]:
        """The process can serve turns."""
        return {"status": "ok"}

    return app
