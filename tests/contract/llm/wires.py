"""What each hosted provider says on the wire, as its documentation has it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flow_backend.llm.base import LLMProvider
from flow_backend.llm.settings import LLMSettings
from flow_backend.llm.timing import TimeLimits

KEY = "key-THAT-NOBODY-MAY-SEE-0123456789"


def sse(*events: tuple[str | None, object], newline: str = "\n") -> bytes:
    text = ""
    for event, data in events:
        if event is not None:
            text += f"event: {event}{newline}"
        body = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        text += f"data: {body}{newline}{newline}"
    return text.encode()


class Wire:
    """One provider's format."""

    name: str
    key_variable: str | None = None
    path: str
    key_header: str | None = None

    def make(self, url: str, limits: TimeLimits | None = None) -> LLMProvider:
        settings = LLMSettings.model_validate(
            {
                **self.settings(url),
                "LLM_CONNECT_TIMEOUT_S": (limits or TimeLimits()).connect_s,
                "LLM_FIRST_TOKEN_TIMEOUT_S": (limits or TimeLimits()).first_token_s,
                "LLM_BETWEEN_TOKENS_TIMEOUT_S": (limits or TimeLimits()).between_tokens_s,
            }
        )
        import importlib

        from flow_backend.llm.registry import PROVIDERS

        provider: LLMProvider = importlib.import_module(PROVIDERS[self.name].module).make(settings)
        return provider

    def settings(self, url: str) -> dict[str, Any]:
        raise NotImplementedError

    def begin(self, texts: list[str], newline: str = "\n") -> bytes:
        raise NotImplementedError

    def end(self, reason: str = "stop", newline: str = "\n") -> bytes:
        raise NotImplementedError

    def tool_call(self) -> bytes:
        """`book` with {"day": "Tuesday", "café": "☕"}, its arguments in pieces where they may."""
        raise NotImplementedError

    def error(self, code: str, message: str, status: int) -> object:
        raise NotImplementedError

    def error_in_stream(self) -> bytes:
        raise NotImplementedError

    def models(self) -> object:
        raise NotImplementedError


def _chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


@dataclass
class OpenAIWire(Wire):
    name: str = "openai"
    key_variable: str | None = "OPENAI_API_KEY"
    path: str = "/v1/chat/completions"
    key_header: str | None = "authorization"

    def settings(self, url: str) -> dict[str, Any]:
        return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1"}

    def begin(self, texts: list[str], newline: str = "\n") -> bytes:
        first: tuple[None, object] = (None, _chunk({"role": "assistant", "content": ""}))
        return sse(first, *((None, _chunk({"content": t})) for t in texts), newline=newline)

    def end(self, reason: str = "stop", newline: str = "\n") -> bytes:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        last = {**_chunk({}), "choices": [], "usage": usage}
        reason = {"filter": "content_filter"}.get(reason, reason)
        return sse((None, _chunk({}, reason)), (None, last), (None, "[DONE]"), newline=newline)

    def tool_call(self) -> bytes:
        pieces = ['{"day": "Tue', 'sday", "café"', ': "☕"}']
        function = {"name": "book", "arguments": ""}
        call = {"index": 0, "id": "call_9", "type": "function", "function": function}
        return sse(
            (None, _chunk({"role": "assistant", "content": None, "tool_calls": [call]})),
            *(
                (None, _chunk({"tool_calls": [{"index": 0, "function": {"arguments": p}}]}))
                for p in pieces
            ),
        ) + self.end("tool_calls")

    def error(self, code: str, message: str, status: int) -> object:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def error_in_stream(self) -> bytes:
        return sse((None, {"error": {"message": KEY, "type": "server_error", "code": 502}}))

    def models(self) -> object:
        return {
            "object": "list",
            "data": [
                {"id": "m-two", "object": "model", "created": 1, "owned_by": "x"},
                {"id": "m-one", "object": "model", "created": 1, "owned_by": "x"},
            ],
        }


@dataclass
class OpenRouterWire(OpenAIWire):
    name: str = "openrouter"
    key_variable: str | None = "OPENROUTER_API_KEY"
    path: str = "/api/v1/chat/completions"

    def settings(self, url: str) -> dict[str, Any]:
        return {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": f"{url}/api/v1"}

    def error(self, code: str, message: str, status: int) -> object:
        return {"error": {"code": status, "message": message, "metadata": {"error_type": code}}}

    def error_in_stream(self) -> bytes:
        chunk = {**_chunk({"content": ""}, "error"), "error": {"code": 502, "message": KEY}}
        return sse((None, chunk))


@dataclass
class OllamaWire(OpenAIWire):
    name: str = "ollama"
    key_variable: str | None = None
    key_header: str | None = None

    def settings(self, url: str) -> dict[str, Any]:
        return {"OLLAMA_URL": url, "OLLAMA_MODEL": "llama3.2:3b"}


@dataclass
class LocalWire(OpenAIWire):
    name: str = "local"
    key_variable: str | None = None
    key_header: str | None = None

    def settings(self, url: str) -> dict[str, Any]:
        return {"LOCAL_LLM_URL": f"{url}/v1", "LOCAL_LLM_MODEL": "big-model"}


@dataclass
class ClaudeWire(Wire):
    name: str = "claude"
    key_variable: str | None = "ANTHROPIC_API_KEY"
    path: str = "/v1/messages"
    key_header: str | None = "authorization"

    def settings(self, url: str) -> dict[str, Any]:
        return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url}

    def _start(self) -> tuple[str, object]:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "m",
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 1},
        }
        return "message_start", {"type": "message_start", "message": message}

    def begin(self, texts: list[str], newline: str = "\n") -> bytes:
        block = {"type": "text", "text": ""}
        return sse(
            self._start(),
            (
                "content_block_start",
                {"type": "content_block_start", "index": 0, "content_block": block},
            ),
            ("ping", {"type": "ping"}),
            *(
                (
                    "content_block_delta",
                    {
                        "type": "content_block_delta",
                        "index": 0,
                        "delta": {"type": "text_delta", "text": text},
                    },
                )
                for text in texts
            ),
            newline=newline,
        )

    def end(self, reason: str = "stop", newline: str = "\n") -> bytes:
        reason = {"stop": "end_turn", "filter": "refusal"}.get(reason, reason)
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = {"output_tokens": 7}
        return sse(
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}),
            ("message_stop", {"type": "message_stop"}),
            newline=newline,
        )

    def tool_call(self) -> bytes:
        block = {"type": "tool_use", "id": "call_9", "name": "book", "input": {}}
        return sse(
            self._start(),
            (
                "content_block_start",
                {"type": "content_block_start", "index": 0, "content_block": block},
            ),
            *(
                (
                    "content_block_delta",
                    {
                        "type": "content_block_delta",
                        "index": 0,
                        "delta": {"type": "input_json_delta", "partial_json": piece},
                    },
                )
                for piece in ('{"day": "Tue', 'sday", "café"', ': "☕"}')
            ),
        ) + self.end("tool_use")

    def error(self, code: str, message: str, status: int) -> object:
        return {"type": "error", "error": {"type": code, "message": message}, "request_id": "r"}

    def error_in_stream(self) -> bytes:
        return sse(("error", self.error("overloaded_error", KEY, 529)))

    def models(self) -> object:
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
            }
            for name in ("m-two", "m-one")
        ]
        return {"data": data, "has_more": False, "first_id": "m-two", "last_id": "m-one"}


@dataclass
class GeminiWire(Wire):
    name: str = "gemini"
    key_variable: str | None = "GEMINI_API_KEY"
    path: str = "/v1/models/"
    key_header: str | None = "x-goog-api-key"

    def settings(self, url: str) -> dict[str, Any]:
        return {"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": url}

    def _part(self, part: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if reason:
            candidate["finishReason"] = reason
        usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}

    def begin(self, texts: list[str], newline: str = "\n") -> bytes:
        return sse(*((None, self._part({"text": t})) for t in texts), newline=newline)

    def end(self, reason: str = "stop", newline: str = "\n") -> bytes:
        reason = {"stop": "STOP", "filter": "SAFETY"}.get(reason, reason)
        return sse((None, self._part({"text": ""}, reason)), newline=newline)

    def tool_call(self) -> bytes:
        call = {"id": "call_9", "name": "book", "args": {"day": "Tuesday", "café": "☕"}}
        return sse((None, self._part({"functionCall": call}, "STOP")))

    def error(self, code: str, message: str, status: int) -> object:
        return {"error": {"code": status, "message": message, "status": code.upper()}}

    def error_in_stream(self) -> bytes:
        return sse((None, self.error("unavailable", KEY, 503)))

    def models(self) -> object:
        return {
            "models": [
                {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]}
                for name in ("m-two", "m-one")
            ]
            + [{"name": "models/embed", "supportedGenerationMethods": ["embedContent"]}]
        }


WIRES: tuple[Wire, ...] = (
    OpenAIWire(),
    OpenRouterWire(),
    OllamaWire(),
    LocalWire(),
    ClaudeWire(),
    GeminiWire(),
)
