"""Which language model will speak, and whether the embedded one must be served."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LLMChoice:
    """What the setting LLM comes to."""

    reference: str
    """As the backend reads it: `provider`, `provider/model`, or several with commas."""
    reason: str
    """Which one speaks and why, for people."""
    advice: str = ""
    """How to get a better one."""

    @property
    def embedded(self) -> bool:
        """Whether the embedded model is one of those that may be asked."""
        return any(part.strip().split("/")[0] == "local" for part in self.reference.split(","))


async def choose_llm() -> LLMChoice:
    """Resolves `LLM=auto` as the backend would.

    Raises:
        ConfigError: `setting_invalid`, for a wrong setting of a language model.
    """
    return LLMChoice("local", "the small embedded model speaks")
