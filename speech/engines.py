"""The process's one set of local engines, loaded when first asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech.moonshine import MoonshineEngine
    from speech.piper import PiperEngine
    from speech.text import Lexicon


@dataclass(slots=True)
class LocalEngines:
    """Owns Piper and Moonshine for everything in the process that speaks or listens."""

    _piper: PiperEngine | None = field(default=None)
    _moonshine: MoonshineEngine | None = field(default=None)
    lexicon: Lexicon | None = None
    """Pronunciations for everything that speaks."""

    @property
    def piper(self) -> PiperEngine:
        """Made on first use; voices load when first spoken with."""
        if self._piper is None:
            from speech.piper import PiperEngine

            self._piper = PiperEngine(lexicon=self.lexicon)
        return self._piper

    @property
    def waiting(self) -> int:
        """Pieces of speech that wait for one of Piper's threads."""
        return 0 if self._piper is None else self._piper.waiting

    @property
    def loading_s(self) -> dict[str, float]:
        """What loading their models has taken, of the engines in use."""
        made = {"piper": self._piper, "moonshine": self._moonshine}
        return {name: engine.loading_s for name, engine in made.items() if engine is not None}

    @property
    def moonshine(self) -> MoonshineEngine:
        """Made on first use."""
        if self._moonshine is None:
            from speech.moonshine import MoonshineEngine

            self._moonshine = MoonshineEngine()
        return self._moonshine

    async def aclose(self) -> None:
        """Frees threads and models; streams under way end with an error."""
        if self._piper is not None:
            await self._piper.aclose()
        if self._moonshine is not None:
            await self._moonshine.aclose()
        self._piper = self._moonshine = None
