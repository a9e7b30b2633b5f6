"""Google's Gemini API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

import httpx2
from google import genai
from google.genai import errors, types

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

OFFICIAL_URL = "https://generativelanguage.googleapis.com"
_WHOLE = (types.FinishReason.STOP, types.FinishReason.MAX_TOKENS)
_MODES = {
    "auto": types.FunctionCallingConfigMode.AUTO,
    "none": types.FunctionCallingConfigMode.NONE,
    "required": types.FunctionCallingConfigMode.ANY,
}
_BROKEN = (errors.APIError, httpx2.HTTPError, ValueError, AttributeError, TypeError, KeyError)


_response: ContextVar[list[httpx2.Response]] = ContextVar("_response")
"""Where the hook of the HTTP client leaves the response of the call that is being made."""


async def _remember(response: httpx2.Response) -> None:
    if (found := _response.get(None)) is not None:
        found.append(response)


class _WithoutComments(httpx2.AsyncByteStream):
    """An event stream without its comments, which the SDK would take for broken JSON."""

    def __init__(self, source: httpx2.AsyncByteStream) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        begins, comment = True, False
        async for chunk in self._source:
            kept = bytearray()
            for line in chunk.splitlines(keepends=True):
                comment = line.startswith(b":") if begins else comment
                if not comment:
                    kept += line
                begins = line.endswith((b"\n", b"\r"))
            if kept:
                yield bytes(kept)

    async def aclose(self) -> None:
        await self._source.aclose()


class _Transport(httpx2.AsyncHTTPTransport):
    """Sets the time to connect, since the SDK sends every request without any time limit."""

    def __init__(self, connect_s: float) -> None:
        super().__init__()
        self._connect_s = connect_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions["timeout"] = {"connect": self._connect_s}
        response = await super().handle_async_request(request)
        if "content-encoding" not in response.headers:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _WithoutComments(response.stream)
        return response


class GeminiProvider(LLMProvider):
    """generateContent, streamed.

    Args:
        api_key: Google AI Studio's.
        model: What is asked for when a call names none.
        base_url: Without the API's version.
        limits: Time limits.
    """

    name = "gemini"
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
        self._endpoint = Endpoint(self.name, "GEMINI_API_KEY", base_url)
        # With an HTTP client of ours the SDK does not use aiohttp, whose errors it retries
        # after a pause of up to ten seconds.
        self._http = httpx2.AsyncClient(
            mounts={"all://": _Transport(self._limits.connect_s)},
            event_hooks={"response": [_remember]},
        )
        self._client = genai.Client(
            api_key=api_key,
            vertexai=False,
            http_options=types.HttpOptions(base_url=base_url, httpx_async_client=self._http),
        )

    def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """See the base class."""
        return in_time(self._stream(messages, params), self._limits, self._endpoint)

    async def _stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        model = params.model or self.model
        usage: UsageDelta | None = None
        finished: types.FinishReason | None = None
        blocked, began, calls = "", False, 0
        responses: list[httpx2.Response] = []
        _response.set(responses)
        try:
            chunks = await self._client.aio.models.generate_content_stream(
                model=model, contents=_contents(messages), config=_config(messages, params)
            )
            source = cast(AsyncGenerator[types.GenerateContentResponse, None], chunks)
            async with aclosing(source):
                async for chunk in source:
                    began = True
                    if chunk.usage_metadata is not None:
                        usage = UsageDelta(
                            chunk.usage_metadata.prompt_token_count or 0,
                            (chunk.usage_metadata.candidates_token_count or 0)
                            + (chunk.usage_metadata.thoughts_token_count or 0),
                        )
                    if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
                        blocked = chunk.prompt_feedback.block_reason.value
                    if not chunk.candidates:
                        continue
                    candidate = chunk.candidates[0]
                    finished = candidate.finish_reason or finished
                    for part in (candidate.content and candidate.content.parts) or ():
                        if part.function_call is not None and part.function_call.name:
                            calls += 1
                            yield ToolCallDelta(
                                ToolCall(
                                    part.function_call.id or f"call_{calls}",
                                    part.function_call.name,
                                    json.dumps(part.function_call.args or {}),
                                )
                            )
                        elif part.text and not part.thought:
                            yield TextDelta(part.text)
        except _BROKEN as error:
            raise self._failure(error, model, began) from error
        finally:
            # The SDK's nested generators would close the connection when they are collected.
            for response in responses:
                await response.aclose()
        if usage is not None:
            yield usage
        if blocked:
            raise self._endpoint.filtered(blocked)
        if finished is None:
            raise self._endpoint.broken(began)
        if finished not in _WHOLE:
            raise self._endpoint.filtered(finished.value)

    async def models(self) -> list[str]:
        """See the base class."""
        try:
            pages = await self._client.aio.models.list(config={"page_size": 1000})
            return sorted(
                [
                    model.name.removeprefix("models/")
                    async for model in pages
                    if model.name and "generateContent" in (model.supported_actions or ())
                ]
            )
        except _BROKEN as error:
            raise self._failure(error, None, False) from error

    async def aclose(self) -> None:
        """See the base class."""
        await self._client.aio.aclose()
        await self._http.aclose()

    def _failure(self, error: Exception, model: str | None, began: bool) -> ProviderError:
        if isinstance(error, errors.APIError):
            headers = getattr(error.response, "headers", None)
            return self._endpoint.status(
                _status(error), headers=headers, reason=error.status, model=model
            )
        if isinstance(error, httpx2.HTTPError):
            return self._endpoint.lost(began)
        return self._endpoint.broken(began)


def make(settings: LLMSettings) -> GeminiProvider:
    """From the settings.

    Raises:
        ProviderError: `provider_not_configured` without a key.
    """
    return GeminiProvider(
        api_key=required_key("gemini", "GEMINI_API_KEY", settings.gemini_api_key),
        model=settings.gemini_model,
        base_url=settings.gemini_base_url or OFFICIAL_URL,
        limits=settings.time_limits,
    )


def _status(error: errors.APIError) -> int:
    """A wrong key is 400 with the reason API_KEY_INVALID: shown as 401."""
    if error.code == 400 and "API_KEY_INVALID" in json.dumps(error.details, default=str):
        return 401
    return error.code if isinstance(error.code, int) and error.code >= 400 else 500


def _config(messages: list[Message], params: GenerationParams) -> types.GenerateContentConfig:
    config = types.GenerateContentConfig(
        temperature=params.temperature,
        max_output_tokens=params.max_tokens,
        stop_sequences=list(params.stop) or None,
        system_instruction="\n\n".join(m.content for m in messages if m.role == "system") or None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    if params.tools:
        config.tools = [
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name=tool.name,
                        description=tool.description,
                        parameters_json_schema=tool.parameters,
                    )
                    for tool in params.tools
                ]
            )
        ]
        config.tool_config = types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=_MODES[params.tool_choice])
        )
    if params.json_schema is not None:
        config.response_mime_type = "application/json"
        config.response_json_schema = params.json_schema
    if params.extra:
        config.http_options = types.HttpOptions(extra_body=params.extra)
    return config


def _contents(messages: list[Message]) -> list[Any]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    contents: list[Any] = []
    for message in messages:
        if message.role == "system":
            continue
        parts: list[types.Part] = []
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", "tool")
            parts.append(
                types.Part.from_function_response(name=name, response={"result": message.content})
            )
        elif message.content:
            parts.append(types.Part.from_text(text=message.content))
        for call in message.tool_calls:
            args = json.loads(call.arguments or "{}")
            parts.append(types.Part.from_function_call(name=call.name, args=args))
        if parts:
            role = "model" if message.role == "assistant" else "user"
            contents.append(types.Content(role=role, parts=parts))
    if not contents or contents[0].role == "model":
        opening = types.Content(role="user", parts=[types.Part.from_text(text="(begin)")])
        contents.insert(0, opening)
    return contents
