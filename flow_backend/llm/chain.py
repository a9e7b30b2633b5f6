"""A provider made of others: retries, and goes on to the next when one fails."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from flow_backend.llm.base import (
    Delta,
    GenerationParams,
    LLMProvider,
    Message,
    TextDelta,
    ToolCallDelta,
)
from flow_backend.llm.continuation import Joint, resumed
from protocol.errors import ProviderError

logger = logging.getLogger(__name__)

MAX_WAIT_S = 2.0
"""The longest `Retry-After` that is worth waiting for while someone listens."""
FIRST_WAIT_S = 0.1
"""Before the first retry, where the provider asks for no other; doubled for each further one."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL cannot keep, and halves of characters, which have no UTF-8."""


@dataclass(slots=True)
class Member:
    """One provider of a chain."""

    provider: LLMProvider
    model: str | None = None
    """Asked for when the call names none."""
    rests_until_s: float = 0.0
    """On the loop's clock; until then it stands last, since it failed."""


class Chain(LLMProvider):
    """Tries its members in order until one has answered, in text that any database can keep.

    When a member fails in the middle of a spoken answer, the next one goes on from there; the
    last one is asked again itself, where its failure may pass. After the first delta of anything
    else (JSON, tool calls, judgements) an error goes to the caller: it is never begun twice. The
    chain does not own its members: whoever made them closes them.

    Args:
        members: At least one, the preferred one first.
        retries: How often a member is asked again when its failure may pass.
        cooldown_s: How long a member that failed stands last; a longer `Retry-After` counts.
    """

    def __init__(
        self, members: Sequence[Member], *, retries: int = 1, cooldown_s: float = 30.0
    ) -> None:
        if not members:
            raise ValueError("a chain needs a provider")
        self._members = list(members)
        self._retries = retries
        self._cooldown_s = cooldown_s
        self.name = ",".join(member.provider.name for member in members)
        self.supports_tools = all(member.provider.supports_tools for member in members)
        self.continues_answers = all(member.provider.continues_answers for member in members)
        self.keeps_prompt_cache = members[0].provider.keeps_prompt_cache

    async def stream(
        self, messages: list[Message], params: GenerationParams
    ) -> AsyncGenerator[Delta, None]:
        """See the base class.

        Raises:
            ProviderError: The only member's own; of several, the first's code and a message that
                says what each did.
        """
        loop = asyncio.get_running_loop()
        failures: list[ProviderError] = []
        now = loop.time()
        may_go_on = params.purpose == "speak" and params.json_schema is None
        said = ""
        members = sorted(self._members, key=lambda member: member.rests_until_s > now)
        for member in members:
            for attempt in range(self._retries + 1):
                wanted = dataclasses.replace(params, model=params.model or member.model)
                prompt, joint, began = messages, None, False
                if said:
                    prompt, wanted = resumed(messages, wanted, said)
                    joint = Joint(said)
                try:
                    async with aclosing(member.provider.stream(prompt, wanted)) as deltas:
                        async for delta in deltas:
                            began = True
                            if isinstance(delta, TextDelta):
                                text = _UNSTORABLE.sub("", delta.text)
                                delta = TextDelta(text if joint is None else joint.push(text))
                                said += delta.text
                                if not delta.text:
                                    continue
                            else:
                                may_go_on = may_go_on and not isinstance(delta, ToolCallDelta)
                            yield delta
                    if joint is not None and (rest := joint.flush()):
                        yield TextDelta(rest)
                    member.rests_until_s = 0.0
                    return
                except ProviderError as error:
                    if began and not may_go_on:
                        raise
                    failure = error
                wait_s = failure.retry_after_s
                if wait_s is None:
                    wait_s = FIRST_WAIT_S * 2**attempt
                if not _may_pass(failure) or wait_s > MAX_WAIT_S or attempt == self._retries:
                    break
                if began and member is not members[-1]:
                    # Somebody listens to half a sentence: another one is quicker.
                    break
                await asyncio.sleep(wait_s)
            member.rests_until_s = loop.time() + max(self._cooldown_s, failure.retry_after_s or 0.0)
            failures.append(failure)
            if member is not members[-1]:
                logger.warning("%s failed (%s)", member.provider.name, failure.code)
        first = failures[0]
        if len(failures) == 1:
            raise first
        raise ProviderError(
            first.code,
            " ".join(failure.message for failure in failures),
            retryable=any(failure.retryable for failure in failures),
        )

    async def prefill(self, messages: list[Message], params: GenerationParams) -> None:
        """Has the first member read a prompt, unless it rests."""
        first = self._members[0]
        if first.rests_until_s <= asyncio.get_running_loop().time():
            wanted = dataclasses.replace(params, model=params.model or first.model)
            await first.provider.prefill(messages, wanted)

    async def models(self) -> list[str]:
        """Models of the first member."""
        return await self._members[0].provider.models()


def _may_pass(failure: ProviderError) -> bool:
    """A time limit is not tried again: the listener has waited long enough."""
    return failure.retryable and failure.code != "provider_timeout"
