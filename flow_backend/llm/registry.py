"""The catalogue of providers, and the choice among them."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flow_backend.llm.base import LLMProvider
from flow_backend.llm.chain import Chain, Member
from flow_backend.llm.settings import LLMSettings
from protocol.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Listing:
    """One provider of the catalogue."""

    module: str
    """Holds `make(settings) -> LLMProvider`; imported when the provider is first wanted."""
    needs: tuple[str, ...] = ()
    """Settings of which one must be set for the provider to work."""

    def configured(self, settings: LLMSettings) -> bool:
        """Whether the provider has what it needs."""
        return not self.needs or any(getattr(settings, name.lower()) for name in self.needs)


PROVIDERS: dict[str, Listing] = {
    "openai": Listing("flow_backend.llm.openai", ("OPENAI_API_KEY", "OPENAI_BASE_URL")),
    "claude": Listing("flow_backend.llm.claude", ("ANTHROPIC_API_KEY",)),
    "gemini": Listing("flow_backend.llm.gemini", ("GEMINI_API_KEY",)),
    "openrouter": Listing("flow_backend.llm.openrouter", ("OPENROUTER_API_KEY",)),
    "ollama": Listing("flow_backend.llm.ollama"),
    "local": Listing("flow_backend.llm.local"),
    "scripted": Listing("flow_backend.llm.scripted"),
}
"""Every provider. `LLM=auto` takes the first that is configured, then Ollama, then `local`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What `LLM=auto` came to."""

    reference: str
    """`provider` or `provider/model`."""
    reason: str
    """Why this one, for people."""
    advice: str = ""
    """How to get a better one, where there is a better one to be had."""


async def choose(settings: LLMSettings) -> Choice:
    """Takes the first provider that is there: a configured one, a running Ollama, the embedded."""
    for name, listing in PROVIDERS.items():
        if listing.needs and listing.configured(settings):
            variable = next(n for n in listing.needs if getattr(settings, n.lower()))
            return Choice(name, f"{variable} is set")
    from flow_backend.llm.ollama import running_models

    if models := await running_models(settings.ollama_url):
        model = settings.ollama_model or models[0]
        return Choice(f"ollama/{model}", f"Ollama runs at {settings.ollama_url}")
    return Choice(
        "local",
        "no key is set and no Ollama runs: the small embedded model speaks",
        "For better answers set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or "
        "OPENROUTER_API_KEY, point OPENAI_BASE_URL at a compatible server, start Ollama, or "
        "fetch a better model: `parley models list` shows which fit this machine.",
    )


MAX_CHAINS = 256
"""Callers name models as they like; a chain that was not asked for in so many others is made
again, and has forgotten which of its members failed."""


class LLMRegistry:
    """Makes providers when they are first wanted, and owns them.

    Args:
        settings: The process's settings.
        providers: Ready-made ones by name, in place of the catalogue's: for tests and scenarios.
    """

    def __init__(
        self, settings: LLMSettings, providers: dict[str, LLMProvider] | None = None
    ) -> None:
        self._settings = settings
        self._made: dict[str, LLMProvider] = dict(providers or {})
        self._chains: OrderedDict[str, Chain] = OrderedDict()

    async def get(self, reference: str = "default") -> LLMProvider:
        """The provider that a flow or request names.

        Args:
            reference: `default` (the setting LLM), `provider`, `provider/model`, or several of
                these with commas between, to be tried in order.

        Raises:
            ProviderError: `provider_unknown`, or `provider_not_configured` with the variable.
        """
        reference = reference.strip()
        if (chain := self._chains.get(reference)) is not None:
            self._chains.move_to_end(reference)
            return chain
        wanted = self._settings.llm.strip() if reference in ("", "default") else reference
        if wanted == "auto":
            wanted = (await choose(self._settings)).reference
        parts = [part.strip() for part in wanted.split(",") if part.strip()]
        if not parts:
            raise ProviderError(
                "provider_unknown",
                f"No language model provider is named. There are: {', '.join(PROVIDERS)}.",
            )
        chain = Chain(
            [self._member(part) for part in parts],
            retries=self._settings.llm_retries,
            cooldown_s=self._settings.llm_cooldown_s,
        )
        self._chains[reference] = chain
        while len(self._chains) > MAX_CHAINS:
            self._chains.popitem(last=False)
        return chain

    def _member(self, reference: str) -> Member:
        name, _, model = reference.partition("/")
        provider = self._made.get(name)
        if provider is None:
            listing = PROVIDERS.get(name)
            if listing is None:
                raise ProviderError(
                    "provider_unknown",
                    f"There is no language model provider {name!r}. There are: "
                    f"{', '.join(PROVIDERS)}.",
                )
            make: Callable[[LLMSettings], LLMProvider] = importlib.import_module(
                listing.module
            ).make
            provider = self._made[name] = make(self._settings)
        return Member(provider, model or None)

    async def aclose(self) -> None:
        """Closes every provider that was made."""
        made, self._made = list(self._made.values()), {}
        self._chains.clear()
        for provider in made:
            await provider.aclose()
