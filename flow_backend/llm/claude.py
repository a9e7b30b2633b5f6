"""Anthropic's Messages API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    AsyncAnthropic,
    DefaultAsyncHttpxClient,
)

from flow_backend.llm.base import (
    Delta,
    GenerationParams,
    LLMProvider,
    Message,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from flow_backend.llm.failures import Endpoint, required_key
from flow_backend.llm.settings import LLMSettings
from flow_backend.llm.timing import TimeLimits, in_time
from protocol.errors import ProviderError

OFFICIAL_URL = "https://api.anthropic.com"
DEFAULT_MAX_TOKENS = 1024
"""The API wants a limit in every request."""
_STATUS_OF_TYPE = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "overloaded_error": 529,
}
_BROKEN = (AnthropicError, httpx2.HTTPError, ValueError, AttributeError, TypeError, KeyError)


class ClaudeProvider(LLMProvider):
    """Messages, streamed. The API takes no temperature any more: none is sent.

    Args:
        api_key: Anthropic's.
        model: What is asked for when a call names none.
        base_url: Without `/v1`.
        limits: Time limits.
    """

    name = "claude"
    supports_tools = True

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str = OFFICIAL_URL,
        limits: TimeLimits | None = None,
    ) -> None:
        self.model = model
        self._limits = limits or TimeLimits()
        self._endpoint = Endpoint(self.name, "ANTHROPIC_API_KEY", base_url)
        timeout = httpx2.Timeout(None, connect=self._limits.connect_s)
        self._client = AsyncAnthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=DefaultAsyncHttpxClient(base_url=base_url, timeout=timeout),
        )

    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """See the base class."""
        return in_time(self._stream(messages, params), self._limits, self._endpoint)

    async def _stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        body = self._body(messages, params)
        prompt_tokens = completion_tokens = 0
        stop_reason, stopped, began = "", False, False
        call: list[str] | None = None
        try:
            async with await self._client.messages.create(**body) as events:
                async for event in events:
                    began = True
                    match event.type:
                        case "message_start":
                            usage = event.message.usage
                            prompt_tokens = (
                                usage.input_tokens
                                + (usage.cache_creation_input_tokens or 0)
                                + (usage.cache_read_input_tokens or 0)
                            )
                        case "content_block_start":
                            block = event.content_block
                            call = [block.id, block.name, ""] if block.type == "tool_use" else None
                        case "content_block_delta":
                            if event.delta.type == "text_delta" and event.delta.text:
                                yield TextDelta(event.delta.text)
                            elif event.delta.type == "input_json_delta" and call is not None:
                                call[2] += event.delta.partial_json
                        case "content_block_stop":
                            if call is not None:
                                yield ToolCallDelta(ToolCall(call[0], call[1], call[2] or "{}"))
                                call = None
                        case "message_delta":
                            stop_reason = event.delta.stop_reason or stop_reason
                            completion_tokens = event.usage.output_tokens
                        case "message_stop":
                            stopped = True
        except _BROKEN as error:
            raise self._failure(error, body["model"], began) from error
        if not stopped:
            raise self._endpoint.broken(began)
        yield UsageDelta(prompt_tokens, completion_tokens)
        if stop_reason == "refusal":
            raise self._endpoint.filtered(stop_reason)

    def _body(self, messages: list[Message], params: GenerationParams) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": params.model or self.model,
            "max_tokens": params.max_tokens or DEFAULT_MAX_TOKENS,
            "messages": _conversation(messages),
            "stream": True,
        }
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        if system:
            body["system"] = system
        if params.stop:
            body["stop_sequences"] = list(params.stop)
        if params.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                }
                for tool in params.tools
            ]
            choice = "any" if params.tool_choice == "required" else params.tool_choice
            body["tool_choice"] = {"type": choice}
        if params.json_schema is not None:
            body["output_config"] = {
                "format": {"type": "json_schema", "schema": params.json_schema}
            }
        if params.extra:
            body["extra_body"] = params.extra
        return body

    async def models(self) -> list[str]:
        """See the base class."""
        try:
            return sorted([model.id async for model in self._client.models.list(limit=1000)])
        except _BROKEN as error:
            raise self._failure(error, None, False) from error

    async def aclose(self) -> None:
        """See the base class."""
        await self._client.close()

    def _failure(self, error: Exception, model: str | None, began: bool) -> ProviderError:
        if isinstance(error, APIStatusError):
            # An `error` event comes under the stream's own status, 200.
            kind = error.type or ""
            inside = error.status_code < 400
            status = _STATUS_OF_TYPE.get(kind, 500) if inside else error.status_code
            headers = None if inside else error.response.headers
            return self._endpoint.status(status, headers=headers, reason=kind, model=model)
        if isinstance(error, APIConnectionError | httpx2.HTTPError):
            return self._endpoint.lost(began)
        return self._endpoint.broken(began and isinstance(error, json.JSONDecodeError))


def make(settings: LLMSettings) -> ClaudeProvider:
    """From the settings.

    Raises:
        ProviderError: `provider_not_configured` without a key.
    """
    return ClaudeProvider(
        api_key=required_key("claude", "ANTHROPIC_API_KEY", settings.anthropic_api_key),
        model=settings.anthropic_model,
        base_url=settings.anthropic_base_url or OFFICIAL_URL,
        limits=settings.time_limits,
    )


def _conversation(messages: list[Message]) -> list[dict[str, Any]]:
    """Turns of user and assistant. The API wants the user first, and no empty text."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks: list[dict[str, Any]] = []
        if message.role == "system":
            continue
        if message.role == "tool":
            blocks.append(
                {
                    "type": "tool_result",
                    "tool_use_id": message.tool_call_id,
                    "content": message.content,
                }
            )
        elif message.content.strip():
            blocks.append({"type": "text", "text": message.content})
        blocks.extend(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call)}
            for call in message.tool_calls
        )
        role = "assistant" if message.role == "assistant" else "user"
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": "(begin)"}]})
    return turns


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = json.loads(call.arguments)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}
