"""OpenAI, and every server that speaks its chat completions."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import httpx2
from openai import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    OpenAIError,
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
from flow_backend.llm.settings import LLMSettings, secret
from flow_backend.llm.timing import TimeLimits, in_time
from protocol.errors import ProviderError

OFFICIAL_URL = "https://api.openai.com/v1"
_REASONS = re.compile(r"(o\d|gpt-[5-9])(?!.*chat)")
"""Models that refuse `temperature` and `stop`."""


class OpenAIProvider(LLMProvider):
    """Chat completions, streamed.

    Args:
        base_url: Ends in `/v1` as a rule.
        api_key: None for servers that take none.
        model: What is asked for when a call names none.
        name: As in the catalogue; subclasses and compatible services have their own.
        key_variable: Named in errors about the key.
        headers: Sent with every request.
        limits: Time limits.
    """

    supports_tools = True

    def __init__(
        self,
        *,
        base_url: str = OFFICIAL_URL,
        api_key: str | None,
        model: str,
        name: str = "openai",
        key_variable: str | None = "OPENAI_API_KEY",
        headers: dict[str, str] | None = None,
        limits: TimeLimits | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._limits = limits or TimeLimits()
        self._endpoint = Endpoint(name, key_variable, base_url)
        self._official = base_url.rstrip("/") == OFFICIAL_URL
        timeout = httpx2.Timeout(None, connect=self._limits.connect_s)
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            default_headers=headers,
            timeout=timeout,
            http_client=DefaultAsyncHttpxClient(
                base_url=base_url, timeout=timeout, trust_env=not is_loopback(base_url)
            ),
        )

    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """See the base class."""
        return in_time(self._stream(messages, params), self._limits, self._endpoint)

    async def _stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        body = self.request_body(messages, params)
        calls: dict[int, list[str]] = {}
        finished, began = "", False
        try:
            async with await self._client.chat.completions.create(**body) as chunks:
                async for chunk in chunks:
                    began = True
                    if chunk.usage is not None:
                        yield UsageDelta(
                            chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0
                        )
                    if not chunk.choices:
                        continue
                    choice = chunk.choices[0]
                    finished = choice.finish_reason or finished
                    if choice.delta is None:
                        continue
                    if text := choice.delta.content or choice.delta.refusal:
                        yield TextDelta(text)
                    for piece in choice.delta.tool_calls or ():
                        call = calls.setdefault(piece.index or 0, ["", "", ""])
                        call[0] = piece.id or call[0]
                        if piece.function is not None:
                            call[1] = piece.function.name or call[1]
                            call[2] += piece.function.arguments or ""
        except (OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise self._failure(error, body["model"], began) from error
        if finished == "content_filter":
            raise self._endpoint.filtered(finished)
        if not finished:
            raise self._endpoint.broken(began)
        for index in sorted(calls):
            call_id, name, arguments = calls[index]
            yield ToolCallDelta(ToolCall(call_id or f"call_{index}", name, arguments))

    def request_body(self, messages: list[Message], params: GenerationParams) -> dict[str, Any]:
        """The call's arguments; subclasses fit them to their service."""
        model = params.model or self.model
        reasons = bool(_REASONS.match(model)) and self._official
        body: dict[str, Any] = {
            "model": model,
            "messages": [_message(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if params.temperature is not None and not reasons:
            body["temperature"] = params.temperature
        if params.max_tokens is not None:
            key = "max_completion_tokens" if self._official else "max_tokens"
            body[key] = params.max_tokens
        if params.stop and not reasons:
            body["stop"] = list(params.stop)
        if params.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in params.tools
            ]
            body["tool_choice"] = params.tool_choice
        if params.json_schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": params.json_schema},
            }
        if params.extra:
            body["extra_body"] = params.extra
        return body

    async def models(self) -> list[str]:
        """See the base class."""
        try:
            return sorted([model.id async for model in self._client.models.list()])
        except (OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise self._failure(error, None, False) from error

    async def aclose(self) -> None:
        """See the base class."""
        await self._client.close()

    def _failure(self, error: Exception, model: str | None, began: bool) -> ProviderError:
        if isinstance(error, APIStatusError):
            return self._endpoint.status(
                error.status_code,
                headers=error.response.headers,
                reason=error.code or error.type,
                model=model,
            )
        if isinstance(error, APIConnectionError | httpx2.HTTPError):
            return self._endpoint.lost(began)
        if isinstance(error, APIError) and not isinstance(error, APIResponseValidationError):
            # An `error` object inside the stream: OpenRouter and others put the status in `code`.
            code = str(error.code or "")
            status = int(code) if re.fullmatch(r"[45]\d\d", code) else 500
            return self._endpoint.status(status, reason=error.code or error.type, model=model)
        return self._endpoint.broken(began and isinstance(error, json.JSONDecodeError))


def make(settings: LLMSettings) -> OpenAIProvider:
    """From the settings; a compatible URL needs no key."""
    key = settings.openai_api_key
    return OpenAIProvider(
        base_url=settings.openai_base_url or OFFICIAL_URL,
        api_key=(
            secret(key)
            if settings.openai_base_url
            else required_key("openai", "OPENAI_API_KEY", key)
        ),
        model=settings.openai_model,
        limits=settings.time_limits,
    )


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, so that a proxy in the environment does not apply."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    return body
