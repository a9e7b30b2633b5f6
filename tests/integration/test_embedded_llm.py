"""The embedded model, served as `parley up` serves it, through the `local` provider."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

import pytest

from flow_backend.llm.base import GenerationParams, Message, UsageDelta
from flow_backend.llm.local import make
from flow_backend.llm.settings import LLMSettings

pytestmark = pytest.mark.timeout(240)
TALK = [Message("system", "Answer in one short sentence."), Message("user", "Hello!")]
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string", "enum": ["monday", "tuesday"]}},
    "required": ["day"],
    "additionalProperties": False,
}


async def test_it_speaks_and_keeps_to_a_schema() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stack.llm_server",
        env={**os.environ, "LLM_SERVER_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    provider = make(
        LLMSettings.model_validate(
            {
                "LOCAL_LLM_URL": f"http://127.0.0.1:{port}/v1",
                "LLM_FIRST_TOKEN_TIMEOUT_S": 120,
                "LLM_BETWEEN_TOKENS_TIMEOUT_S": 60,
            }
        )
    )
    try:
        assert server.stdout is not None
        assert b"/v1" in await server.stdout.readline()
        spoken = await provider.complete(TALK, GenerationParams(max_tokens=6))
        assert spoken.text.strip()
        assert spoken.usage is not None
        assert 0 < spoken.usage.completion_tokens <= 6
        found = await provider.complete(
            [Message("user", "I come on Tuesday. JSON:")], GenerationParams(json_schema=SCHEMA)
        )
        assert json.loads(found.text)["day"] in ("monday", "tuesday")
        assert await provider.models()
        # An answer that is being written goes on to its end after the server was asked to stop.
        written = provider.stream(
            [Message("user", "Count to ten.")], GenerationParams(max_tokens=12)
        )
        deltas = [await anext(written)]
        server.terminate()
        deltas += [delta async for delta in written]
        assert isinstance(deltas[-1], UsageDelta)
        assert deltas[-1].completion_tokens > 1
        assert await server.wait() == 0
    finally:
        await provider.aclose()
        if server.returncode is None:
            server.kill()
            await server.wait()
