"""Runs scenario files against a backend in this process."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flow_backend.app import create_app
from flow_backend.engine.plan import make_plan
from flow_backend.flows.document import Flow
from flow_backend.flows.loading import load_file
from flow_backend.flows.scenarios import Expectation, Scenario, ScenarioFile
from flow_backend.flows.validation import parse_flow
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.registry import LLMRegistry
from flow_backend.llm.scripted import ScriptedProvider
from flow_backend.settings import BackendSettings
from protocol.errors import FlowError, StreamError
from protocol.faults import hint
from protocol.settings import load_settings
from stack.flow_session import Answer, FlowSession, serving


@dataclass(slots=True)
class Outcome:
    """What one scenario came to."""

    name: str
    failures: list[str] = field(default_factory=list)
    """Sentences that say which turn, what was expected and what came."""
    total_ms: float = 0.0
    """Of all turns."""

    @property
    def passed(self) -> bool:
        """Whether every expectation was met."""
        return not self.failures


class OneModel:
    """Gives one provider under every name, so that a flow's own choice does not matter."""

    def __init__(self, provider: LLMProvider) -> None:
        self.provider = provider

    async def get(self, reference: str = "default") -> LLMProvider:
        """The provider, whatever is asked for."""
        return self.provider


async def run_file(
    file: ScenarioFile,
    *,
    llm: str | None = None,
    variables: dict[str, Any] | None = None,
    only: str | None = None,
) -> list[Outcome]:
    """Runs the scenarios of a file, one after the other, each in a session of its own.

    Args:
        file: The scenarios.
        llm: A language model's reference to use instead of the scripted answers.
        variables: Given to every session, over the scenario's own.
        only: Part of the names of the scenarios to run.

    Raises:
        FlowError: `flow_invalid`, if the flow is not right; as `require_variables`.
        ProviderError: If there is no such language model.
    """
    flow = parse_flow(load_file(file.flow))
    require_variables(flow, variables or {})
    for scenario in file.scenarios:
        require_variables(flow, scenario.variables)
    outcomes = []
    async with rehearsal(flow, llm) as (client, models):
        for scenario in file.scenarios:
            if only is not None and only.lower() not in scenario.name.lower():
                continue
            if llm is None:
                models.provider = ScriptedProvider([*scenario.llm, *file.llm])
            given = {**scenario.variables, **(variables or {})}
            outcomes.append(await _run(scenario, given, flow.id, client))
    return outcomes


def require_variables(flow: Flow, names: Iterable[str]) -> None:
    """Refuses names of variables that the flow does not have: nothing would read them.

    Raises:
        FlowError: `request_invalid`.
    """
    known = {*flow.variables}
    for node in make_plan(flow, 0).nodes.values():
        known.update(node.type.sets(node.data))
    for name in names:
        if name not in known:
            raise FlowError(
                "request_invalid",
                f"The flow {flow.id!r} has no variable {name!r}{hint(name, known)}",
                path=f"variables.{name}",
            )


@asynccontextmanager
async def rehearsal(
    flow: Flow, llm: str | None
) -> AsyncIterator[tuple[httpx.AsyncClient, OneModel]]:
    """A backend in this process that holds one flow and forgets everything at the end.

    Args:
        flow: The flow.
        llm: A language model's reference; None for one that has no answers yet.

    Yields:
        An HTTP client for the backend, and what gives it its language model.
    """
    with tempfile.TemporaryDirectory(prefix="parley-flow-") as name:
        folder = Path(name)
        document = flow.model_dump_json(by_alias=True, exclude_none=True)
        (folder / "flow.json").write_text(document, encoding="utf-8")
        settings = load_settings(
            BackendSettings,
            FLOWS_DIR=folder,
            DATABASE_URL=f"sqlite:///{folder}/parley.db",
            BACKEND_HOST="127.0.0.1",
            api_keys="auto",
        )
        registry = LLMRegistry(settings)
        try:
            models = OneModel(ScriptedProvider() if llm is None else await registry.get(llm))
            async with (
                serving(create_app(settings, models=models)) as url,
                httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as client,
            ):
                yield client, models
        finally:
            await registry.aclose()


async def _run(
    scenario: Scenario, variables: dict[str, Any], flow_id: str, client: httpx.AsyncClient
) -> Outcome:
    outcome = Outcome(scenario.name)
    session = await FlowSession.open(client, flow_id, variables)
    if scenario.greeting is not None and not _holds(session.greeting, scenario.greeting):
        outcome.failures.append(
            f"greeting: expected {scenario.greeting!r}; it was {session.greeting!r}"
        )
    for number, turn in enumerate(scenario.turns, 1):
        try:
            async with aclosing(session.say(turn.user)) as pieces:
                async for _ in pieces:
                    pass
        except StreamError as error:
            outcome.failures.append(f"turn {number} (user: {turn.user!r}): {error.message}")
            break
        answer = session.answer
        outcome.total_ms += answer.total_ms
        state = await session.state()
        outcome.failures += [
            f"turn {number} (user: {turn.user!r}): {failure}"
            for failure in _failures(turn.expect, answer, state)
        ]
        if answer.error is not None and turn.expect.error is None:
            break
    return outcome


def _failures(expect: Expectation, answer: Answer, state: dict[str, Any]) -> list[str]:
    failed: list[str] = []
    said = f"it said {answer.text!r}" if answer.text else "it said nothing"
    if answer.error is not None and answer.error.code != expect.error:
        failed.append(f"it failed: {answer.error.message} ({answer.error.code})")
    elif expect.error is not None and answer.error is None:
        failed.append(f"expected the error {expect.error!r}; {said}")
    failed += [f"expected {words!r}; {said}" for words in _all(expect.says)
               if not _holds(answer.text, words)]  # fmt: skip
    failed += [f"expected it not to say {words!r}; {said}" for words in _all(expect.says_not)
               if _holds(answer.text, words)]  # fmt: skip
    if expect.matches and not re.search(expect.matches, answer.text, re.IGNORECASE):
        failed.append(f"expected a match of {expect.matches!r}; {said}")
    if expect.path is not None and answer.path != expect.path:
        failed.append(f"expected the path {_way(expect.path)}; it went {_way(answer.path)}")
    if expect.node is not None and state["node_id"] != expect.node:
        failed.append(f"expected to stand at {expect.node!r}; it stands at {state['node_id']!r}")
    for name, value in expect.variables.items():
        if name not in state["variables"]:
            failed.append(f"expected {name} = {value!r}; it is not set")
        elif state["variables"][name] != value:
            failed.append(f"expected {name} = {value!r}; it is {state['variables'][name]!r}")
    if expect.ended is not None and state["ended"] != expect.ended:
        failed.append("expected the session to end" if expect.ended else "the session ended")
    if expect.within_ms is not None and answer.total_ms > expect.within_ms:
        failed.append(f"expected it within {expect.within_ms:g} ms; it took {answer.total_ms:.0f}")
    first = answer.first_word_ms
    if expect.first_word_within_ms is not None and (
        first is None or first > expect.first_word_within_ms
    ):
        took = "none came" if first is None else f"it took {first:.0f}"
        failed.append(f"expected a word within {expect.first_word_within_ms:g} ms; {took}")
    return failed


def _all(words: str | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else words


def _holds(text: str, words: str) -> bool:
    return " ".join(words.lower().split()) in " ".join(text.lower().split())


def _way(path: list[str]) -> str:
    return " → ".join(path) or "nowhere"
