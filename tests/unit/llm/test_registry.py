from __future__ import annotations

import datetime
import email.utils

import pytest

from flow_backend.llm import registry
from flow_backend.llm.base import GenerationParams, Message
from flow_backend.llm.failures import Endpoint, retry_after_s
from flow_backend.llm.local import MAX_SYSTEM_CHARACTERS, gist
from flow_backend.llm.registry import LLMRegistry, choose
from flow_backend.llm.scripted import ScriptedProvider
from flow_backend.llm.settings import LLMSettings
from protocol.errors import ConfigError, ProviderError
from protocol.settings import load_settings


def settings(**values: object) -> LLMSettings:
    return LLMSettings.model_validate({name.upper(): value for name, value in values.items()})


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    for listing in registry.PROVIDERS.values():
        for name in listing.needs:
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
        ("gemini", "GEMINI_API_KEY"),
        ("openrouter", "OPENROUTER_API_KEY"),
    ],
)
async def test_a_missing_key_names_the_variable(name: str, variable: str) -> None:
    with pytest.raises(ProviderError, match=variable) as caught:
        await LLMRegistry(settings()).get(name)
    assert caught.value.code == "provider_not_configured"


async def test_an_unknown_provider_is_told_the_known_ones() -> None:
    with pytest.raises(ProviderError, match="openai, claude, gemini") as caught:
        await LLMRegistry(settings()).get("clippy")
    assert caught.value.code == "provider_unknown"


async def test_the_setting_is_a_chain_and_default_means_the_setting() -> None:
    first, second = ScriptedProvider(["one"]), ScriptedProvider(["two"])
    made = LLMRegistry(settings(llm="a/b/c , b"), {"a": first, "b": second})
    chain = await made.get("default")
    assert chain is await made.get("default")
    assert (await chain.complete([Message("user", "x")], GenerationParams())).text == "one"
    assert first.requests[0][1].model == "b/c"
    only = await made.get("b")
    assert (await only.complete([Message("user", "x")], GenerationParams())).text == "two"


@pytest.mark.parametrize(
    ("values", "reference", "reason"),
    [
        ({"openai_api_key": "k"}, "openai", "OPENAI_API_KEY is set"),
        ({"openai_base_url": "http://127.0.0.1:9/v1"}, "openai", "OPENAI_BASE_URL is set"),
        ({"gemini_api_key": "k", "openrouter_api_key": "k"}, "gemini", "GEMINI_API_KEY is set"),
    ],
)
async def test_auto_takes_what_is_configured(
    values: dict[str, str], reference: str, reason: str
) -> None:
    choice = await choose(settings(**values))
    assert (choice.reference, choice.reason) == (reference, reason)


async def test_secrets_do_not_show_and_wrong_settings_are_named() -> None:
    held = settings(openai_api_key="sk-secret")
    assert "sk-secret" not in repr(held)
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL"):
        load_settings(LLMSettings, OPENAI_BASE_URL="ftp://x")


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after_s({"retry-after": "7"}) == 7.0
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    waited = retry_after_s({"retry-after": email.utils.format_datetime(soon)})
    assert waited == pytest.approx(30, abs=2)
    for junk in ("", "soon", "-4", "9" * 400, "nan"):
        assert retry_after_s({"retry-after": junk}) is None


def test_an_address_is_shown_without_its_password() -> None:
    endpoint = Endpoint("openai", None, "http://user:hush@host/v1?key=hush")
    assert "hush" not in endpoint.unreachable().message
    assert "hush" not in endpoint.status(404, model="m").message


def test_a_very_small_model_gets_the_gist() -> None:
    talk = [Message("user" if i % 2 == 0 else "assistant", str(i)) for i in range(9)]
    system = "You are kind. " * 100
    short = gist([Message("system", system), *talk])
    assert len(short[0].content) <= MAX_SYSTEM_CHARACTERS
    assert short[0].content.endswith(".")
    assert [m.content for m in short[1:]] == ["4", "5", "6", "7", "8"]
    assert gist([Message("system", "x" * 1000)])[0].content == "x" * MAX_SYSTEM_CHARACTERS


async def test_names_that_callers_invent_do_not_gather() -> None:
    made = LLMRegistry(settings(llm="a"), {"a": ScriptedProvider([])})
    own = await made.get()
    for number in range(2 * registry.MAX_CHAINS):
        await made.get(f"a/model-{number}")
        assert await made.get() is own
    assert len(made._chains) == registry.MAX_CHAINS


@pytest.mark.parametrize("reference", [",", " , ,"])
async def test_a_reference_without_a_name_is_refused(reference: str) -> None:
    with pytest.raises(ProviderError, match="There are: openai"):
        await LLMRegistry(settings()).get(reference)
