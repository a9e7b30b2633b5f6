"""Inworld's voices over HTTP: one JSON line for each piece of audio."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import httpx
import numpy as np
from typing_extensions import override

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk, WordTiming
from speech.hosted import answer, client
from speech.settings import SpeechSettings
from speech.tts.base import PcmAssembler, TTSProvider, Voice, required


class InworldTTS(TTSProvider):
    """`POST /tts/v1/voice:stream`, raw PCM with word timings.

    Source: Inworld TTS API reference, "Synthesize speech (streaming)" and "Timestamps".
    """

    name: ClassVar[str] = "inworld"
    label: ClassVar[str] = "Inworld"
    has_word_timings: ClassVar[bool] = True
    native_rate_hz = 24_000

    def __init__(self, settings: SpeechSettings) -> None:
        required(settings.inworld_api_key, "INWORLD_API_KEY", self.label)
        assert settings.inworld_api_key is not None
        self._headers = {"Authorization": f"Basic {settings.inworld_api_key.get_secret_value()}"}
        self._model = settings.inworld_model
        self._voice = settings.inworld_voice
        self._http = client(
            settings.inworld_base_url,
            connect_timeout_s=settings.speech_connect_timeout_s,
            read_timeout_s=settings.speech_read_timeout_s,
        )

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Request:
        return self._http.build_request(method, path, headers=self._headers, json=body)

    @property
    @override
    def version(self) -> str:
        return self._model

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        pcm = PcmAssembler()
        cursor = 0
        if text.strip():
            request = self._request(
                "POST",
                "/tts/v1/voice:stream",
                {
                    "text": text,
                    "voiceId": voice or self._voice,
                    "modelId": self._model,
                    "audioConfig": {
                        "audioEncoding": "LINEAR16",
                        "sampleRateHertz": self.native_rate_hz,
                        "speakingRate": min(1.5, max(0.5, speed)),
                    },
                    "timestampType": "WORD",
                    "timestampTransportStrategy": "SYNC",
                },
            )
            async with answer(self._http, self.label, "INWORLD_API_KEY", request) as response:
                async for line in _lines(response):
                    audio, info = self._piece(line)
                    words, cursor = _words(text, cursor, info)
                    yield SpeechChunk(pcm.push(audio), self.native_rate_hz, words, False)
        yield SpeechChunk(np.zeros(0, np.int16), self.native_rate_hz, (), True)

    def _piece(self, line: bytes) -> tuple[bytes, dict[str, Any]]:
        try:
            message = json.loads(line)
            if "error" in message:
                raise ProviderError(
                    "provider_refused",
                    f"{self.label} gave up in the middle of an answer "
                    f"(code {int(message['error'].get('code', 0))}).",
                )
            result = message["result"]
            audio = base64.b64decode(result.get("audioContent") or "", validate=True)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise ProviderError(
                "provider_bad_response", f"{self.label} sent a line that is not its protocol."
            ) from error
        return _without_header(audio), result.get("timestampInfo") or {}

    @override
    async def voices(self) -> list[Voice]:
        request = self._request("GET", "/tts/v1/voices")
        async with answer(self._http, self.label, "INWORLD_API_KEY", request) as response:
            await response.aread()
            try:
                return [
                    Voice(
                        row["voiceId"],
                        row.get("displayName") or row["voiceId"],
                        next(iter(row.get("languages") or ()), None),
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


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Splits at line feeds only: httpx's own line reader also splits at U+2028."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def _without_header(audio: bytes) -> bytes:
    """Each LINEAR16 piece is a wav of its own; the samples follow its `data` chunk header."""
    if audio[:4] != b"RIFF":
        return audio
    at = audio.find(b"data", 12)
    return audio[at + 8 :] if at >= 0 else b""


def _words(text: str, cursor: int, info: dict[str, Any]) -> tuple[tuple[WordTiming, ...], int]:
    """Places Inworld's words in the text, from `cursor` on; white space and marks are skipped."""
    alignment = info.get("wordAlignment") or {}
    words = []
    for word, start_s, end_s in zip(
        alignment.get("words", ()),
        alignment.get("wordStartTimeSeconds", ()),
        alignment.get("wordEndTimeSeconds", ()),
        strict=False,
    ):
        at = text.find(word, cursor)
        if at < 0 or not any(character.isalnum() for character in word):
            continue
        cursor = at + len(word)
        words.append(WordTiming(word, float(start_s), float(end_s), at, cursor))
    return tuple(words), cursor
