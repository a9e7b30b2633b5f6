from __future__ import annotations

from pathlib import Path

from flow_backend.llm.registry import PROVIDERS
from protocol.errors import ProviderError

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "providers.md").read_text(encoding="utf-8")


def test_every_provider_and_what_it_needs_is_on_the_page() -> None:
    for name, listing in PROVIDERS.items():
        assert f"| `{name}` |" in PAGE
        for variable in listing.needs:
            assert f"`{variable}`" in PAGE


def test_every_error_is_on_the_page() -> None:
    for code in ProviderError.codes:
        assert f"| `{code}` |" in PAGE
