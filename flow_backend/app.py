"""Puts the backend's parts together as an ASGI app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.access.admission import Admission
from flow_backend.access.gate import Gate, needs
from flow_backend.access.keys import Keyring
from flow_backend.access.slots import Slots
from flow_backend.api import flows, privacy, sessions, turns
from flow_backend.api.body_limit import BodyLimit
from flow_backend.api.cors import Cors
from flow_backend.api.errors import add_error_handlers
from flow_backend.api.rate_limit import RateLimit, rate_limited
from flow_backend.doors import (
    chat,
    completions,
    speech,
    status,
    stream,
    token,
    tutor,
    voice_socket,
)
from flow_backend.doors.page import add_page
from flow_backend.doors.voices import Voices
from flow_backend.engine.engine import Engine, EngineLimits, EngineParts, Models
from flow_backend.flows.folder import BUILTIN, load_folder
from flow_backend.llm.registry import LLMRegistry
from flow_backend.metrics import CountResponses, Metrics
from flow_backend.outbound.call import HttpCaller
from flow_backend.outbound.guard import AddressGuard
from flow_backend.outbound.outbox import Outbox
from flow_backend.replicas.replicas import Replicas
from flow_backend.settings import BackendSettings
from flow_backend.store.conversations import ConversationStore
from flow_backend.store.database import open_database
from flow_backend.store.flows import FlowStore
from flow_backend.store.frame_file import FrameFile
from flow_backend.store.keys import KeyStore
from flow_backend.store.passages import PassageStore
from flow_backend.store.people import PeopleStore
from flow_backend.store.sessions import SessionStore
from flow_backend.store.writer import Writer
from flow_backend.tutor.tutor import Tutor
from protocol.errors import ParleyError, ProviderError
from protocol.tracing import tracing_to

log = logging.getLogger(__name__)

STATEMENT_S = 10.0
"""A database that takes longer counts as gone."""


def create_app(settings: BackendSettings, *, models: Models | None = None) -> FastAPI:
    """Makes the app; its parts open with the ASGI lifespan and close with it.

    Args:
        settings: The process's settings.
        models: In place of the ones that the settings name: for tests and benchmarks.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(app.state.rate_limit.aclose)
            stack.push_async_callback(slots.aclose)
            try:
                await _open_parts(app, settings, models, stack)
            except ParleyError as error:
                app.state.start_error = error
                raise
            yield

    app = FastAPI(title="Parley", lifespan=lifespan)
    app.state.settings = settings
    app.state.metrics = Metrics()
    app.state.admission = Admission(settings.max_streams, settings.max_spoken, settings.max_sockets)
    app.state.rate_limit = RateLimit(settings.redis_url)
    slots = Slots(settings.redis_url)
    app.state.tracing = None
    app.state.start_error = None
    add_error_handlers(app)
    # The last one added stands outermost.
    app.add_middleware(Gate, settings=settings, rate_limit=app.state.rate_limit, slots=slots)
    app.add_middleware(Cors, origins=settings.cors_origins.split(","), localhost=settings.local)
    app.add_middleware(BodyLimit, max_bytes=settings.max_request_bytes)
    app.add_middleware(CountResponses, metrics=app.state.metrics)
    app.include_router(flows.router)
    app.include_router(sessions.router, dependencies=[needs("talk")])
    app.include_router(turns.router, dependencies=[needs("talk")])
    app.include_router(privacy.router, dependencies=[needs("admin")])
    for door in (token, stream, chat, tutor, speech, completions, voice_socket):
        app.include_router(door.router, dependencies=[needs("talk"), Depends(rate_limited)])
    app.include_router(status.router)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    add_page(app, settings.livekit_public_url or settings.livekit_url)
    return app


async def _open_parts(
    app: FastAPI, settings: BackendSettings, models: Models | None, stack: AsyncExitStack
) -> None:
    if tracing := tracing_to(settings.otel_exporter_otlp_endpoint, "parley-backend"):
        app.state.tracing = tracing
        stack.push_async_callback(asyncio.to_thread, tracing.close)
    database = await open_database(settings.database_url, statement_s=STATEMENT_S)
    stack.push_async_callback(database.dispose)
    app.state.keyring = Keyring(KeyStore(database), settings.parley_api_key)
    if settings.keys_required:
        await app.state.keyring.require_any(settings.host)
    registry = LLMRegistry(settings)
    stack.push_async_callback(registry.aclose)
    allowed = [entry.strip() for entry in settings.http_allowed_hosts.split(",")]
    secrets = {
        name.upper(): secret.get_secret_value() for name, secret in settings.flow_secrets.items()
    }
    caller = HttpCaller(AddressGuard(filter(None, allowed)), secrets)
    stack.push_async_callback(caller.aclose)
    store = SessionStore(database)
    frames = await _open_frames(database, store, stack)
    replicas = None
    if settings.redis_url is not None and frames is None:
        replicas = Replicas(settings.redis_url, settings.replica_lease_s, store)
        await stack.enter_async_context(replicas)
    writer = await stack.enter_async_context(Writer(database, batches=frames))
    outbox = Outbox(database, writer, caller)
    stack.push_async_callback(outbox.aclose)
    parts = EngineParts(
        models=models or registry,
        limits=EngineLimits(
            node_entries_per_turn=settings.node_entries_per_turn,
            reader_grace_s=settings.reader_grace_s,
            speculation_s=settings.speculation_s,
            session_idle_s=settings.session_idle_s,
            session_kept_s=settings.session_kept_days * 86400,
            conversations_kept_s=settings.conversations_kept_days * 86400,
            history_tokens=settings.history_tokens,
        ),
        flows=FlowStore(database),
        sessions=store,
        passages=PassageStore(database),
        people=PeopleStore(database),
        writer=writer,
        outbox=outbox,
        caller=caller,
        metrics=app.state.metrics,
        keeper=replicas.relay if replicas is not None else frames,
    )
    folders = [BUILTIN, settings.flows_dir] if settings.flows_dir else [BUILTIN]
    for folder in folders:
        for flow in load_folder(folder):
            document = flow.model_dump(mode="json", by_alias=True, exclude_unset=True)
            document.pop("version", None)
            await parts.flows.load(document)
    app.state.parts = parts
    app.state.database = database
    app.state.voices = Voices.of(settings)
    stack.push_async_callback(app.state.voices.aclose)
    alone = database.dialect.name == "sqlite"
    await _load_model(parts.models)
    app.state.engine = await stack.enter_async_context(
        Engine(parts, alone=alone, replicas=replicas)
    )
    app.state.tutor = Tutor(ConversationStore(database), parts, settings)
    stack.push_async_callback(app.state.tutor.aclose)
    app.state.metrics.hold(app.state.engine, app.state.voices, app.state.admission)


async def _open_frames(
    database: AsyncEngine, store: SessionStore, stack: AsyncExitStack
) -> FrameFile | None:
    """Events in a file, for the one process that uses an SQLite database.

    What the last process left there is put into the database first.
    """
    if database.dialect.name != "sqlite":
        return None
    frames = FrameFile(Path(f"{database.url.database}-events"))
    stack.callback(frames.close)
    for (uid, turn_id), left in frames.left().items():
        await store.add_left(uid, turn_id, left.begun, left.frames)
    frames.clear()
    return frames


async def _load_model(models: Models) -> None:
    """Loads the default provider's SDK now: a second or two that no caller should wait for."""
    try:
        await models.get()
    except ProviderError as error:
        log.warning("no language model answers yet: %s", error.message)
