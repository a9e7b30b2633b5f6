"""`GET /api/providers`, `/api/status`, `/readyz` and `/metrics`: what there is and how it fares."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.access.gate import needs
from flow_backend.llm.registry import PROVIDERS, choose
from flow_backend.metrics import Metrics
from flow_backend.settings import BackendSettings
from flow_backend.store.writer import Writer
from protocol.errors import ParleyError
from speech import downloads, stt
from speech.tts import CATALOGUE, is_configured

router = APIRouter()

_PROBE_S = 1.0
_PACKAGES = ("parley", "livekit-agents", "piper-tts", "onnxruntime", "fastapi", "xllamacpp")


@router.get("/api/providers", tags=["doors"])
async def providers(request: Request) -> dict[str, Any]:
    """Language models, voices and transcribers, and whether each is configured."""
    settings: BackendSettings = request.app.state.settings
    llm = [
        {
            "name": name,
            "configured": listing.configured(settings),
            "needs": list(listing.needs),
            "models": _models(settings, name),
        }
        for name, listing in PROVIDERS.items()
        if name != "scripted"
    ]
    tts = []
    for name, entry in CATALOGUE.items():
        configured = is_configured(name, settings)
        needs = [entry.required_setting.upper()] if entry.required_setting else []
        row = {
            "name": name,
            "label": entry.label,
            "configured": configured,
            "needs": needs,
            "voices": [],
        }
        if configured and name in ("piper", "openai"):
            # The others' lists are on the network: one slow provider must not hold up this page.
            voices = await request.app.state.voices.get(name).voices()
            row["voices"] = [{"id": v.id, "name": v.name, "language": v.language} for v in voices]
        tts.append(row)
    transcribers = [
        {
            "name": name,
            "configured": stt.is_configured(name, settings),
            "needs": [stt.NEEDS[name].upper()] if name in stt.NEEDS else [],
        }
        for name in stt.CATALOGUE
    ]
    return {"llm": llm, "tts": tts, "stt": transcribers}


def _models(settings: BackendSettings, name: str) -> list[str]:
    field = {
        "openai": "openai_model",
        "claude": "anthropic_model",
        "gemini": "gemini_model",
        "openrouter": "openrouter_model",
        "ollama": "ollama_model",
        "local": "local_llm_model",
    }.get(name)
    model = getattr(settings, field) if field else None
    return [model] if model else []


@router.get("/readyz", tags=["health"])
async def readyz(request: Request) -> JSONResponse:
    """Whether turns can be served, with each dependency's state; not while the process drains."""
    states = await _parts(request)
    ready = all(state["ready"] for name, state in states.items() if name in _REQUIRED)
    word = "ok" if ready else "unavailable"
    if request.app.state.admission.draining:
        ready, word = False, "draining"
    parts = {name: "ok" if state["ready"] else state["detail"] for name, state in states.items()}
    return JSONResponse({"status": word, "parts": parts}, 200 if ready else 503)


_REQUIRED = ("database",)
"""What turns cannot do without; the others have fallbacks or are not needed by every door."""


@router.get("/api/status", tags=["health"])
async def status(request: Request) -> dict[str, Any]:
    """Parts, models, downloads that run, versions, LiveKit and sessions, for people."""
    settings: BackendSettings = request.app.state.settings
    parts, worker, under_way = await asyncio.gather(
        _parts(request), _worker(settings.worker_url), asyncio.to_thread(downloads.running)
    )
    choice = await choose(settings) if settings.llm == "auto" else None
    return {
        "ready": all(parts[name]["ready"] for name in _REQUIRED),
        "parts": {**parts, **({"worker": worker} if worker else {})},
        "downloads": under_way,
        "livekit": {
            "url": settings.livekit_public_url or settings.livekit_url,
            "ready": parts["livekit"]["ready"],
        },
        "models": {
            "llm": choice.reference if choice else settings.llm,
            **({"why": choice.reason} if choice else {}),
            "tts": settings.tts,
            "stt": settings.stt,
        },
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "sessions": request.app.state.engine.session_count,
    }


async def _parts(request: Request) -> dict[str, dict[str, Any]]:
    settings: BackendSettings = request.app.state.settings
    database, livekit = await asyncio.gather(
        _database(request.app.state.database, request.app.state.parts.writer),
        _livekit(settings.livekit_url),
    )
    return {"database": database, "livekit": livekit}


async def _database(database: AsyncEngine, writer: Writer) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PROBE_S), database.connect() as connection:
            await connection.execute(text("SELECT 1"))
        writer.check()
    except (SQLAlchemyError, OSError) as error:
        return {"ready": False, "detail": type(error).__name__}
    except ParleyError as error:
        return {"ready": False, "detail": error.code}
    return {"ready": True, "detail": database.dialect.name}


async def _livekit(url: str | None) -> dict[str, Any]:
    if url is None:
        return {"ready": False, "detail": "LIVEKIT_URL is not set"}
    try:
        async with httpx.AsyncClient(timeout=_PROBE_S, trust_env=False) as http:
            await http.get(url.replace("ws", "http", 1) if url.startswith("ws") else url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return {"ready": False, "detail": f"{url}: {type(error).__name__}"}
    return {"ready": True, "detail": url}


async def _worker(url: str | None) -> dict[str, Any] | None:
    """What the worker's health page says; None where it is not known where the worker is."""
    if url is None:
        return None
    try:
        async with httpx.AsyncClient(timeout=_PROBE_S, trust_env=False) as http:
            health, answer = await asyncio.gather(
                http.get(f"{url}/readyz"), http.get(f"{url}/worker")
            )
        info = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return {"ready": False, "detail": f"{url}: {type(error).__name__}"}
    if health.status_code != 200:
        return {"ready": False, "detail": health.text[:200]}
    calls = info.get("active_jobs", 0)
    return {"ready": True, "detail": f"{url}, calls: {calls}", "calls": calls}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@router.get("/metrics", dependencies=[needs("monitor")], tags=["health"], response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus's text format."""
    held: Metrics = request.app.state.metrics
    return Response(generate_latest(held.registry), media_type=CONTENT_TYPE_LATEST)
