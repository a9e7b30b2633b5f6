"""ElevenLabs: whole and streamed audio over HTTP, and its WebSocket with timings."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import numpy as np
from typing_extensions import override
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk
from speech.hosted import answer, client, status_error
from speech.settings import SpeechSettings
from speech.tts.base import CharacterClock, PcmAssembler, TTSProvider, Voice, required

_KEY = "ELEVENLABS_API_KEY"
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024


class ElevenLabsTTS(TTSProvider):
    """Raw PCM at 24 kHz with timings of each character.

    Source: ElevenLabs API reference, "Create speech", "Stream speech", "Text to speech WebSocket".
    """

    name: ClassVar[str] = "elevenlabs"
    label: ClassVar[str] = "ElevenLabs"
    has_word_timings: ClassVar[bool] = True
    native_rate_hz = 24_000

    def __init__(self, settings: SpeechSettings) -> None:
        required(settings.elevenlabs_api_key, _KEY, self.label)
        assert settings.elevenlabs_api_key is not None
        self._base_url = settings.elevenlabs_base_url.rstrip("/")
        self._headers = {"xi-api-key": settings.elevenlabs_api_key.get_secret_value()}
        self._model = settings.elevenlabs_model
        self._voice = settings.elevenlabs_voice
        self._connect_timeout_s = settings.speech_connect_timeout_s
        self._read_timeout_s = settings.speech_read_timeout_s
        self._http = client(
            self._base_url,
            connect_timeout_s=self._connect_timeout_s,
            read_timeout_s=self._read_timeout_s,
        )

    def _speech_request(
        self, path: str, text: str, voice: str | None, speed: float
    ) -> httpx.Request:
        return self._http.build_request(
            "POST",
            f"/v1/text-to-speech/{quote(voice or self._voice, safe='')}{path}",
            params={"output_format": f"pcm_{self.native_rate_hz}"},
            headers=self._headers,
            json={
                "text": text,
                "model_id": self._model,
                "voice_settings": {"speed": _speed(speed)},
            },
        )

    @property
    @override
    def version(self) -> str:
        return self._model

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Over the WebSocket, since only there do timings come with the first audio."""

        async def once() -> AsyncGenerator[str, None]:
            yield text

        if text.strip():
            async with contextlib.aclosing(
                self.stream_text(once(), voice=voice, speed=speed)
            ) as chunks:
                async for chunk in chunks:
                    yield chunk
        else:
            yield SpeechChunk(np.zeros(0, np.int16), self.native_rate_hz, (), True)

    async def stream_http(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """`POST …/stream`: audio alone, for servers and networks without WebSockets."""
        pcm = PcmAssembler()
        request = self._speech_request("/stream", text, voice, speed)
        async with answer(self._http, self.label, _KEY, request) as response:
            async for piece in response.aiter_bytes():
                yield SpeechChunk(pcm.push(piece), self.native_rate_hz, (), False)
        yield SpeechChunk(np.zeros(0, np.int16), self.native_rate_hz, (), True)

    @override
    async def synthesize(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> SpeechChunk:
        """`POST /v1/text-to-speech/{voice}`: the whole audio in one answer, without timings."""
        pcm = PcmAssembler()
        if not text.strip():
            return SpeechChunk(np.zeros(0, np.int16), self.native_rate_hz, (), True)
        request = self._speech_request("", text, voice, speed)
        async with answer(self._http, self.label, _KEY, request) as response:
            body = await response.aread()
        return SpeechChunk(pcm.push(body), self.native_rate_hz, (), True)

    async def stream_text(
        self, pieces: AsyncIterable[str], *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Text in, audio out, over `…/stream-input`; offsets refer to the joined pieces.

        Pieces are sent whole before audio is read: a caller sends sentences, not single tokens.
        """
        url = (
            self._base_url.replace("http", "ws", 1)
            + f"/v1/text-to-speech/{quote(voice or self._voice, safe='')}/stream-input"
            + f"?model_id={quote(self._model)}&output_format=pcm_{self.native_rate_hz}"
            + "&sync_alignment=true"
        )
        try:
            socket = await connect(
                url,
                additional_headers=self._headers,
                open_timeout=self._connect_timeout_s,
                close_timeout=1,
                max_size=_MAX_MESSAGE_BYTES,
                proxy=None,
            )
        except InvalidStatus as error:
            raise status_error(
                self.label,
                error.response.status_code,
                _KEY,
                httpx.Headers(dict(error.response.headers.raw_items())),
            ) from error
        except TimeoutError as error:
            raise ProviderError(
                "provider_timeout", f"{self.label} did not connect in time ({self._base_url})."
            ) from error
        except (OSError, InvalidHandshake) as error:
            raise ProviderError(
                "provider_unavailable", f"{self.label} cannot be reached at {self._base_url}."
            ) from error
        async with contextlib.aclosing(_Socket(socket)) as connection:
            text = ""
            with _broken(self.label):
                await connection.send({"text": " ", "voice_settings": {"speed": _speed(speed)}})
                async for piece in pieces:
                    text += piece
                    await connection.send({"text": piece if piece.endswith(" ") else piece + " "})
                await connection.send({"text": ""})
            pcm, clock, offset_s = PcmAssembler(), CharacterClock(text), 0.0
            while True:
                with _broken(self.label):
                    message = await connection.receive(self._read_timeout_s)
                samples, timing = self._piece(message)
                audio = pcm.push(samples)
                words = clock.push(*_timings(timing, offset_s))
                offset_s += len(audio) / self.native_rate_hz
                last = bool(message.get("isFinal"))
                if last:
                    words += clock.flush()
                if last or len(audio) or words:
                    yield SpeechChunk(audio, self.native_rate_hz, words, last)
                if last:
                    return

    def _piece(self, message: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if message.get("error") or message.get("code"):
            code = "provider_refused"
            if message.get("code") == 1008 or "key" in str(message.get("error", "")):
                code = "provider_unauthorized"
            raise ProviderError(
                code,
                f"{self.label} gave up in the middle of an answer. Check {_KEY}, voice and model.",
            )
        try:
            return base64.b64decode(message.get("audio") or "", validate=True), (
                message.get("alignment") or {}
            )
        except (binascii.Error, TypeError, ValueError) as error:
            raise ProviderError(
                "provider_bad_response", f"{self.label} sent audio that is not base64."
            ) from error

    @override
    async def voices(self) -> list[Voice]:
        request = self._http.build_request("GET", "/v1/voices", headers=self._headers)
        async with answer(self._http, self.label, _KEY, request) as response:
            await response.aread()
            try:
                return [
                    Voice(
                        row["voice_id"],
                        row["name"],
                        (row.get("labels") or {}).get("language"),
                    )
                    for row in response.json()["voices"]
                ]
            except (ValueError, KeyError, TypeError) as error:
                raise ProviderError(
                    "provider_bad_response", f"{self.label} sent a list of voices without voices."
                ) from error

    @override
    async def aclose(self) -> None:
        await self._http.aclose()


class _Socket:
    """JSON messages over one WebSocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    async def receive(self, timeout_s: float) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            data = await self._socket.recv()
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("not an object")
        return message

    async def aclose(self) -> None:
        await self._socket.close()


@contextlib.contextmanager
def _broken(label: str) -> Iterator[None]:
    """Translates what can go wrong on an open WebSocket."""
    try:
        yield
    except TimeoutError as error:
        raise ProviderError("provider_timeout", f"{label} fell silent before the end.") from error
    except ConnectionClosed as error:
        raise ProviderError(
            "provider_unavailable", f"{label} closed the connection before the end."
        ) from error
    except ValueError as error:
        raise ProviderError(
            "provider_bad_response", f"{label} sent a message that is not JSON."
        ) from error


def _timings(
    alignment: dict[str, Any], offset_s: float
) -> tuple[list[str], list[float], list[float]]:
    """Characters with start and end; the wire's times count from the start of each message.

    Both spellings of the keys, `charStartTimesMs` and `charsStartTimesMs`, are in use.
    """
    starts_ms = alignment.get("charStartTimesMs") or alignment.get("charsStartTimesMs") or []
    durations_ms = alignment.get("charDurationsMs") or alignment.get("charsDurationsMs") or []
    starts_s = [offset_s + ms / 1000 for ms in starts_ms]
    ends_s = [start + ms / 1000 for start, ms in zip(starts_s, durations_ms, strict=False)]
    return list(alignment.get("chars") or []), starts_s, ends_s


def _speed(speed: float) -> float:
    """ElevenLabs takes 0.7 to 1.2."""
    return min(1.2, max(0.7, speed))
