"""A provider around a provider: what wrappers pass on unchanged."""

from __future__ import annotations

from typing_extensions import override

from speech.tts.base import TTSProvider, Voice


class WrappedTTS(TTSProvider):
    """Speaks for the provider that it owns; a subclass says what happens to streams."""

    def __init__(self, inner: TTSProvider) -> None:
        self._inner = inner
        self.name = inner.name  # type: ignore[misc] # a wrapper speaks for what it wraps
        self.label = inner.label  # type: ignore[misc]
        self.has_word_timings = inner.has_word_timings  # type: ignore[misc]
        self.is_free = inner.is_free  # type: ignore[misc]
        self.native_rate_hz = inner.native_rate_hz

    @property
    @override
    def version(self) -> str:
        return self._inner.version

    @override
    async def voices(self) -> list[Voice]:
        return await self._inner.voices()

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
