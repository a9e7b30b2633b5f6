"""`BRAIN` beside `flow`: LiveKit's LLM plugins by name, and chains of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from livekit.agents import llm

from agent_worker.direct import direct_model, prepare
from agent_worker.settings import WorkerSettings
from protocol.errors import ConfigError
from tests.wire import Reply, Request, wire_server


def settings(**more: Any) -> WorkerSettings:
    return WorkerSettings(
        _env_file=None, livekit_api_key="devkey", livekit_api_secret="x" * 32, **more
    )


async def answered(model: llm.LLM[Any]) -> str:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    async with model.chat(chat_ctx=context) as stream:
        pieces = [chunk.delta.content async for chunk in stream if chunk.delta]
    return "".join(piece or "" for piece in pieces)


@pytest.mark.parametrize("brain", ["openai/good", "openai/bad, openai/good", "openai/bad,openai"])
async def test_the_next_model_answers(brain: str) -> None:
    asked = []

    async def handle(request: Request, reply: Reply) -> None:
        model = request.json()["model"]
        asked.append(model)
        if model == "bad":
            await reply.json({"error": {"message": "down"}}, 500)
            return
        await reply.head(content_type="text/event-stream")
        for delta, reason in (({"content": "Hello there."}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model}
            await reply.send(f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode())
        await reply.send(b"data: [DONE]\n\n")
        await reply.end()

    async with wire_server(handle) as server:
        model = direct_model(
            settings(brain=brain, openai_base_url=f"{server.url}/v1", openai_model="good")
        )
        assert await answered(model) == "Hello there."
        await model.aclose()
    assert asked[-1] == "good"


@pytest.mark.parametrize(
    ("brain", "says"),
    [
        ("anthropic/claude-haiku-4-5,openai", "pip install livekit-plugins-anthropic"),
        ("silero", "silero has no LLM"),
    ],
)
def test_what_cannot_be_had_is_refused_at_start(brain: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        prepare(settings(brain=brain, openai_api_key="not-sent"))
    assert "BRAIN" in caught.value.message
