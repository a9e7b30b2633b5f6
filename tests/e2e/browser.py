"""Chromium for the tests of the page: scenarios, the microphone's sound, and backends to open."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf
import soxr

from bench.caller import MIC_RATE_HZ, Audio
from bench.local_stack import ROOT
from flow_backend.doors.page import FOLDER
from tests.scripted_llm import ScriptedLLM

WEB = ROOT / "web"
SCENARIO_WITHIN_S = 240.0
TALK_SCRIPT_BYTES = 350_000
"""Gzipped."""
RECORDED = {"ever", "tried", "failed", "no", "matter", "try", "again", "fail", "better"}
"""Words of the recording; a busy machine may miss the first or the last ones."""
NUMBERS = " ".join(f"Number {n} is a fine number indeed." for n in range(1, 30))
"""An answer that takes a minute to say."""

needs_browser = pytest.mark.skipif(
    not all(map(shutil.which, ("node", "chromium"))) or not (WEB / "node_modules").is_dir(),
    reason="needs Node, Chromium and the page's packages: make dev web",
)

Outside = Mapping[str, Callable[..., Awaitable[None]]]


async def see(
    scenario: str,
    url: str,
    wav: Path | None = None,
    outside: Outside | None = None,
    given: str = "",
) -> Any:
    """Runs a scenario and gives what it found; it may ask for things done `outside`."""
    arguments = ["tests/scenarios.mjs", scenario, url, *([str(wav)] if wav else [])]
    process = await asyncio.create_subprocess_exec(
        "node",
        *arguments,
        cwd=WEB,
        env={**os.environ, "GIVEN": given},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    errors = asyncio.create_task(process.stderr.read())
    found = None
    try:
        async with asyncio.timeout(SCENARIO_WITHIN_S):
            async for line in process.stdout:
                if line.startswith(b"? "):
                    what, *about = line[2:].decode().split()
                    await (outside or {})[what](*about)
                    process.stdin.write(b"\n")
                    await process.stdin.drain()
                else:
                    found = json.loads(line)
            assert await process.wait() == 0, (await errors).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await errors
    return found


def microphone(path: Path, speech: Audio) -> Path:
    """A file for Chromium's microphone: the speech at 48 kHz, with silence before and after."""
    at_48_khz = soxr.resample(speech, MIC_RATE_HZ, 48_000)
    silence = np.zeros(48_000, np.float32)
    sf.write(path, np.concatenate([silence, silence, at_48_khz, silence]), 48_000, "PCM_16")
    return path


def scripted_by(script: ScriptedLLM) -> dict[str, str]:
    """Settings of a backend without LiveKit, whose answers come from a script."""
    return {
        "LLM": "openai",
        "OPENAI_BASE_URL": script.url,
        "OPENAI_API_KEY": "none",
        "LIVEKIT_URL": "",
    }


def assert_light(scripts: list[str]) -> None:
    """What the talk view has loaded for a call."""
    assert scripts
    sizes = [len(gzip.compress((FOLDER / "assets" / name).read_bytes())) for name in set(scripts)]
    assert sum(sizes) < TALK_SCRIPT_BYTES


def from_afar() -> dict[str, str]:
    """Settings of a backend that other machines may call."""
    return {"API_KEYS": "required", "PARLEY_API_KEY": secrets.token_hex(32)}


def named(url: str) -> str:
    """The same address by the name that Chromium has for this machine."""
    return url.replace("127.0.0.1", "parley.lan")


def assert_typed_without_microphone(found: dict[str, str]) -> None:
    """What the page says over plain http from another machine."""
    assert "https" in found["words"]
    assert "localhost" in found["words"]
    assert "https, or localhost" in found["why"]


async def publish(url: str, flow: dict[str, Any]) -> None:
    """Makes it the newest version of the flow, whether there was one or not."""
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        made = await client.post("/api/flows", json=flow)
        if made.status_code == 409:
            whichever = {"If-Match": "*"}
            made = await client.put(f"/api/flows/{flow['id']}", json=flow, headers=whichever)
        assert made.is_success, made.text
        assert (await client.post(f"/api/flows/{flow['id']}/publish")).status_code == 200
