"""`parley up`: runs the whole stack."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from rich.markup import escape

from agent_worker.settings import OPENAI_URL, WorkerSettings
from flow_backend.access.settings import is_loopback
from protocol.errors import ConfigError
from protocol.settings import load_settings
from stack import livekit_keys, livekit_server, ports
from stack.llm_choice import LLMChoice, choose_llm
from stack.parts import NAMES, Plan, backend_url, livekit_url, make_plan
from stack.readiness import require_livekit
from stack.settings import StackSettings
from stack.settings_pages import MADE, processes, require_settings
from stack.supervisor import Supervisor
from stack.terminal import Terminal

FREE_SPACE_BYTES = 200_000_000
"""Less than this leaves no room for the database and converted models."""


def up(without: Collection[str] = ()) -> None:
    """Starts the stack and runs until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: Whatever keeps it from running; nothing is left running then.
    """
    unknown = sorted(set(without) - set(NAMES))
    if unknown:
        raise ConfigError(
            "setting_invalid",
            f"--without {unknown[0]}: there is no such part. There are: {', '.join(NAMES)}. "
            "Repeat the option to leave out several.",
        )
    terminal = Terminal()
    settings = load_settings(StackSettings)
    for process in processes():
        if process.name not in without:
            require_settings(process)
    if "backend" not in without:
        _require_api_key(settings)
    _require_space(Path.cwd(), livekit_server.cache_dir())
    pair = livekit_keys.key_pair(settings)
    if pair is None:
        if settings.livekit_url is not None:
            raise ConfigError(
                "setting_missing",
                "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are not set. Set those of the server at "
                "LIVEKIT_URL, or unset LIVEKIT_URL to run a server of our own.",
            )
        file = Path(".env")
        pair = livekit_keys.make_key_pair(file)
        terminal.say(f"Made a LiveKit key pair; it is kept in {file}.")
    livekit = None
    if settings.livekit_url is not None:
        asyncio.run(require_livekit(settings.livekit_url, pair))
    elif "livekit" not in without:
        livekit = _livekit(terminal)
    choice = asyncio.run(choose_llm())
    plan = make_plan(
        settings,
        pair,
        livekit=livekit,
        llm=choice.reference,
        embedded_llm=choice.embedded,
        without=without,
    )
    ports.require_free(plan.ports)
    asyncio.run(_run(plan, settings, choice, terminal))


def _livekit(terminal: Terminal) -> Path | None:
    """Our LiveKit server's program; without one the rest of the stack still runs."""
    found = livekit_server.find()
    if found is not None:
        return found
    try:
        with terminal.waiting("Building the LiveKit server: once, 1 to 3 minutes"):
            return livekit_server.build(terminal.progress)
    except ConfigError as error:
        terminal.say(
            f"[bold red]No LiveKit server:[/] {escape(error.message)}\n"
            "Going on without rooms: the page and the HTTP and WebSocket doors work."
        )
        return None


async def _run(plan: Plan, settings: StackSettings, choice: LLMChoice, terminal: Terminal) -> None:
    supervisor = Supervisor(plan.parts, terminal)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run(lambda: _announce(plan, settings, choice, terminal))
    terminal.say("Stopped.")


def _announce(plan: Plan, settings: StackSettings, choice: LLMChoice, terminal: Terminal) -> None:
    running = {part.name for part in plan.parts}
    lines = ["", "[bold green]Parley is ready.[/]"]
    if "backend" in running:
        lines.append(f"  page   {backend_url(settings)}")
    if "worker" in running:
        lines.append(f"  room   any, at {livekit_url(settings)}; tokens: POST /api/token")
        command = escape(_command())
        lines.append(f"  talk   {command} call, or {command} call --text, in a second terminal")
    else:
        lines.append("  room   none: no agent worker runs")
    lines += [f"  model  {escape(line)}" for line in _models(running, choice)]
    lines += ["  stop   Ctrl-C", ""]
    terminal.say("\n".join(lines))


def _models(running: set[str], choice: LLMChoice) -> Iterator[str]:
    """Who answers, and how to get a better one."""
    if "worker" in running:
        worker = load_settings(WorkerSettings, **MADE)
        if worker.brain == "openai":
            url = worker.openai_base_url or OPENAI_URL
            yield f"in rooms, {worker.openai_model} at {url}: BRAIN=openai is set"
        elif worker.brain != "flow":
            yield f"in rooms, {worker.brain}: BRAIN is set"
    if "backend" not in running:
        return
    if choice.embedded and "llm" not in running:
        yield "none of ours: LOCAL_LLM_URL must lead to one that runs elsewhere"
        return
    yield choice.reason
    if choice.advice:
        yield choice.advice


def _command() -> str:
    """How to run `parley` from here."""
    ours = Path(sys.argv[0])
    on_path = shutil.which("parley")
    if on_path is not None and Path(on_path).resolve() == ours.resolve():
        return "parley"
    return os.path.relpath(ours) if ours.name == "parley" else "python -m stack"


def _require_api_key(settings: StackSettings) -> None:
    """The backend checks what keys there are; the worker needs one to speak with it."""
    required = settings.api_keys == "required" or not is_loopback(settings.backend_host)
    if required and settings.parley_api_key is None:
        raise ConfigError(
            "setting_missing",
            f"The backend at {settings.backend_host} asks for API keys, and the worker has none. "
            "Make one: parley keys create worker --save. Or set BACKEND_HOST=127.0.0.1 and "
            "API_KEYS=auto to serve this machine alone.",
        )


def _require_space(*folders: Path) -> None:
    for folder in folders:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if shutil.disk_usage(existing).free < FREE_SPACE_BYTES:
            raise ConfigError(
                "disk_full",
                f"The disk of {existing} has less than {FREE_SPACE_BYTES // 1_000_000} MB left. "
                "Free some space and start again.",
            )
