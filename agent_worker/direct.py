"""`BRAIN=openai` and the like: models of LiveKit's plugins answer, without a flow.

LiveKit registers plugins on the main thread only: import this module there, before any call.
"""

from __future__ import annotations

from typing import Any

from livekit.agents import llm
from livekit.plugins import openai

from agent_worker.livekit_plugins import names, plugin, set_up
from agent_worker.settings import OPENAI_URL, WorkerSettings


def prepare(settings: WorkerSettings) -> None:
    """Finds the plugins that BRAIN names; to be called on the main thread.

    Raises:
        ConfigError: A name that nobody knows, a package that is not installed, a missing key.
    """
    direct_model(settings)


def direct_model(settings: WorkerSettings) -> llm.LLM[Any]:
    """The model that BRAIN names, or a chain of them.

    Raises:
        ConfigError: As `prepare` does.
    """
    chain = [_model(name, model, settings) for name, model in names(settings.brain, "BRAIN")]
    return chain[0] if len(chain) == 1 else _Chain(chain)


class _Chain(llm.FallbackAdapter):
    """Closes its members, too."""

    def __init__(self, members: list[llm.LLM[Any]]) -> None:
        super().__init__(members)
        self._members = members

    async def aclose(self) -> None:
        await super().aclose()
        for member in self._members:
            await member.aclose()


def _model(name: str, model: str | None, settings: WorkerSettings) -> llm.LLM[Any]:
    if name != "openai":
        found: llm.LLM[Any] = set_up(plugin(name, "LLM", "BRAIN", ("flow",)).LLM, name, model)
        return found
    key = settings.openai_api_key
    return openai.LLM(
        model=model or settings.openai_model,
        # A local endpoint takes any key, and the client insists on one.
        api_key=key.get_secret_value() if key is not None else "none",
        base_url=settings.openai_base_url or OPENAI_URL,
    )
