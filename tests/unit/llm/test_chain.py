from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import pytest

from flow_backend.llm.base import GenerationParams, Message, TextDelta
from flow_backend.llm.chain import Chain, Member
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.llm.timing import TimeLimits
from protocol.errors import ProviderError

ASK = [Message("user", "Hello?")]
PARAMS = GenerationParams()


def broken(code: str, times: int | None = None) -> ScriptedProvider:
    return ScriptedProvider([Reply(error=code, times=times), Reply(say="well again", times=None)])


async def test_a_passing_failure_is_tried_again_before_the_first_word() -> None:
    provider = broken("provider_unavailable", times=1)
    answer = await Chain([Member(provider)], retries=1).complete(ASK, PARAMS)
    assert answer.text == "well again"
    assert len(provider.requests) == 2


@pytest.mark.parametrize("code", ["provider_unauthorized", "provider_timeout"])
async def test_what_will_not_pass_in_time_is_not_tried_again(code: str) -> None:
    provider = broken(code, times=1)
    with pytest.raises(ProviderError):
        await Chain([Member(provider)], retries=3).complete(ASK, PARAMS)
    assert len(provider.requests) == 1


async def test_the_next_member_answers_and_the_failed_one_rests() -> None:
    bad, good = broken("provider_unauthorized"), ScriptedProvider(["hello"])
    chain = Chain([Member(bad), Member(good, "small")], retries=0, cooldown_s=60)
    assert (await chain.complete(ASK, PARAMS)).text == "hello"
    assert (await chain.complete(ASK, PARAMS)).text == "hello"
    assert len(bad.requests) == 1
    assert good.requests[0][1].model == "small"


async def test_a_failed_member_is_asked_again_when_all_others_fail() -> None:
    first = broken("provider_unauthorized", times=1)
    second = ScriptedProvider([Reply(say="hello"), Reply(error="provider_refused", times=None)])
    chain = Chain([Member(first), Member(second)], retries=0, cooldown_s=60)
    assert (await chain.complete(ASK, PARAMS)).text == "hello"
    assert (await chain.complete(ASK, PARAMS)).text == "well again"


def cut(said: str, code: str = "provider_bad_response") -> ScriptedProvider:
    return ScriptedProvider([Reply(say=said, error=code, times=1), Reply(say="well again")])


@pytest.mark.parametrize(
    ("said", "rest", "whole"),
    [
        ("The capital of France is", "Paris.", "The capital of France is Paris."),
        ("The capital of France is", "is Paris.", "The capital of France is Paris."),
        ("The capital is", "The capital is Paris.", "The capital is Paris."),
        ("Easy. The capital of Fr", "The capital of France.", "Easy. The capital of France."),
        ("Easy. The capital ", "The end.", "Easy. The capital The end."),
        ("Yes. It is a", "animal.", "Yes. It is a animal."),
        ("Yes. It is a", "A dog.", "Yes. It is a dog."),
        ("That is all.", "That is all.", "That is all."),
        ("That is", "That is, in short, all.", "That is, in short, all."),
    ],
)
async def test_the_next_member_goes_on_without_repeating(said: str, rest: str, whole: str) -> None:
    chain = Chain([Member(cut(said)), Member(other := ScriptedProvider([Reply(say=list(rest))]))])
    answer = await chain.complete(ASK, PARAMS)
    assert answer.text == whole
    prompt, params = other.requests[0]
    assert prompt[:-2] == ASK
    assert (prompt[-2].role, prompt[-2].content) == ("assistant", said.strip())
    assert not params.tools


async def test_an_only_member_goes_on_itself() -> None:
    provider = cut("All is", "provider_unavailable")
    assert (await Chain([Member(provider)]).complete(ASK, PARAMS)).text == "All is well again"


async def test_what_is_not_spoken_is_never_begun_twice() -> None:
    first, other = cut("Well"), ScriptedProvider(["hello"])
    chain = Chain([Member(first), Member(other)])
    seen = []

    async def read() -> None:
        params = replace(PARAMS, purpose="summary")
        async with aclosing(chain.stream(ASK, params)) as deltas:
            async for delta in deltas:
                seen.append(delta)

    with pytest.raises(ProviderError):
        await read()
    assert seen == [TextDelta("Well")]
    assert not other.requests


async def test_when_all_fail_each_is_named() -> None:
    chain = Chain(
        [Member(broken("provider_unauthorized")), Member(broken("provider_rate_limited"))],
        retries=0,
    )
    with pytest.raises(ProviderError) as caught:
        await chain.complete(ASK, PARAMS)
    assert caught.value.code == "provider_unauthorized"
    assert caught.value.retryable
    assert "provider_rate_limited" in caught.value.message


async def test_closing_early_closes_the_member() -> None:
    provider = ScriptedProvider(["one two three"])
    async with aclosing(Chain([Member(provider)]).stream(ASK, PARAMS)) as deltas:
        assert await anext(deltas) == TextDelta("one")
        assert provider.open_streams == 1
    assert provider.open_streams == 0


async def test_limits_hold_for_any_source() -> None:
    limits = TimeLimits(first_token_s=0.01, between_tokens_s=0.01)
    late = ScriptedProvider([Reply(say="late", first_delay_s=30)], limits=limits)
    with pytest.raises(ProviderError, match="LLM_FIRST_TOKEN_TIMEOUT_S"):
        await late.complete(ASK, PARAMS)
    stalls = ScriptedProvider([Reply(say="one two", delay_s=30)], limits=limits)
    with pytest.raises(ProviderError, match="LLM_BETWEEN_TOKENS_TIMEOUT_S"):
        await stalls.complete(ASK, PARAMS)
    assert late.open_streams == stalls.open_streams == 0


async def test_what_no_database_can_keep_is_left_out() -> None:
    model = ScriptedProvider([Reply(say=["a\0", "\0", "b\ud83d c"])])
    answer = await Chain([Member(model)]).complete(ASK, PARAMS)
    assert answer.text == "ab c"
