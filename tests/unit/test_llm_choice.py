from __future__ import annotations

from pathlib import Path

import pytest

from flow_backend.llm.registry import PROVIDERS
from protocol.errors import ConfigError
from stack.llm_choice import choose_llm


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for listing in PROVIDERS.values():
        for name in listing.needs:
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("reference", "code", "said"),
    [
        ("nope", "setting_invalid", "LLM: there is no provider 'nope'. Expected auto"),
        ("local,nope/model", "setting_invalid", "'nope'"),
        (",", "setting_invalid", "LLM: there is no provider ''"),
        ("openai", "setting_missing", "OPENAI_API_KEY or OPENAI_BASE_URL"),
        ("local,claude/model", "setting_missing", "ANTHROPIC_API_KEY"),
    ],
)
async def test_a_model_that_cannot_speak_is_refused(
    monkeypatch: pytest.MonkeyPatch, reference: str, code: str, said: str
) -> None:
    monkeypatch.setenv("LLM", reference)
    with pytest.raises(ConfigError) as caught:
        await choose_llm()
    assert caught.value.code == code
    assert said in caught.value.message


async def test_what_is_configured_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM", "openai/model, local")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    choice = await choose_llm()
    assert choice.reference == "openai/model, local"
    assert choice.embedded
