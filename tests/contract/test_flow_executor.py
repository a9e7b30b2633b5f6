from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest

from agent_worker.flow_executor import FlowExecutor, StreamLimits
from agent_worker.flow_turn import FlowTurn
from protocol.errors import FlowError, ProviderError, StreamError
from protocol.events import Done, Event, Token
from protocol.turns import HeardReport
from tests.scripted_backend import ScriptedBackend

QUICK = StreamLimits(connect_s=1, silence_s=2, event_s=0.3, resume_s=0.3, call_s=1)


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    async with ScriptedBackend().serve() as serving:
        yield serving


@pytest.fixture
async def executor(backend: ScriptedBackend) -> AsyncIterator[FlowExecutor]:
    async with FlowExecutor("front-desk", backend_url=backend.url, limits=QUICK) as executor:
        yield executor


async def read(turn: FlowTurn) -> list[Event]:
    async with aclosing(turn.events()) as events:
        return [event async for event in events]


def spoken(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Token))


async def test_the_simple_form_gives_the_pieces_as_they_come(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    backend.pieces = ["One\u2028", "two & three? ", "Ünd\n\nvier."]
    backend.hold_after = 1
    answer = executor.process_user_input_streaming("Is 1 + 1 = 2 & more?")
    assert await anext(answer) == "One\u2028"
    backend.release.set()
    assert [piece async for piece in answer] == backend.pieces[1:]
    (path,) = backend.paths("GET")
    assert path == f"stream/{executor.session_id}"
    assert backend.calls[0][2]["input"] == "Is 1 + 1 = 2 & more?"


async def test_leaving_the_simple_form_cancels_the_turn(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    backend.hold_after = 1
    async with aclosing(executor.process_user_input_streaming("Hi")) as answer:
        await anext(answer)
    assert len(backend.paths("DELETE")) == 1


async def test_a_long_input_does_not_go_into_the_url(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    await executor.open_session()
    answer = executor.process_user_input_streaming("long " * 2000)
    assert "".join([piece async for piece in answer]) == "Hello there."
    assert backend.paths("GET") == []


async def test_a_turn_is_committed_and_reported(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi", turn_id="item_1", speculative=True)
    events = await read(turn)
    assert spoken(events) == "Hello there."
    assert isinstance(events[-1], Done)
    assert turn.finished
    await turn.commit()
    await turn.heard(HeardReport(text="Hello", interrupted=True, position_ms=310))
    assert backend.paths("POST") == [
        "sessions",
        "sessions/s1/turns",
        "sessions/s1/turns/item_1/commit",
        "sessions/s1/turns/item_1/heard",
    ]
    assert backend.calls[1][2] == {"input": "Hi", "turn_id": "item_1", "speculative": True}
    assert backend.calls[-1][2] == {
        "text": "Hello",
        "interrupted": True,
        "position_ms": 310,
        "estimated": False,
    }


async def test_a_report_that_is_not_confirmed_goes_with_the_next_request(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi", turn_id="one")
    await read(turn)
    report = HeardReport(text="Hello", interrupted=True, estimated=True)
    turn.note_heard(report)
    await read(executor.turn("And now?", turn_id="two"))
    told = {"turn_id": "one", "text": "Hello", "interrupted": True, "estimated": True}
    assert backend.calls[-1][2]["heard"] == [told]
    await turn.heard(report)
    await read(executor.turn("And then?", turn_id="three"))
    assert "heard" not in backend.calls[-1][2]


async def test_a_new_session_is_told_nothing_of_an_old_ones_turns(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi", turn_id="one")
    await read(turn)
    turn.note_heard(HeardReport(text="Hello", interrupted=True))
    backend.sessions.clear()
    await read(executor.turn("And now?", turn_id="two"))
    assert "heard" not in backend.calls[-1][2]


async def test_a_commit_before_the_request_goes_with_the_request(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi", speculative=True)
    await turn.commit()
    await read(turn)
    assert backend.calls[-1][2]["speculative"] is False
    assert not any(path.endswith("commit") for path in backend.paths("POST"))


async def test_a_commit_waits_for_the_request_that_is_under_way(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi", turn_id="t", speculative=True)
    reading = asyncio.create_task(read(turn))
    await backend.until_called("POST", "/turns")
    await turn.commit()
    await reading
    assert backend.paths("POST")[-1] == "sessions/s1/turns/t/commit"


@pytest.mark.parametrize("drop_after", [1, 2, 3, 4])
async def test_a_dropped_stream_goes_on_at_the_next_event(
    executor: FlowExecutor, backend: ScriptedBackend, drop_after: int
) -> None:
    backend.pieces = ["a ", "b ", "c ", "d."]
    backend.drop_after = drop_after
    events = await read(executor.turn("Hi", turn_id="t"))
    assert spoken(events) == "a b c d."
    assert backend.paths("GET") == ["sessions/s1/turns/t/events"]
    assert backend.paths("POST").count("sessions/s1/turns") == 1


async def test_a_backend_killed_in_mid_answer_fails_the_turn_in_time() -> None:
    serving = AsyncExitStack()
    backend = await serving.enter_async_context(ScriptedBackend(hold_after=1).serve())
    async with FlowExecutor("f", backend_url=backend.url, limits=QUICK) as executor:
        turn = executor.turn("Hi")
        async with aclosing(turn.events()) as events:
            assert (await anext(events)).type == "node_started"
            assert (await anext(events)).type == "token"
            await serving.aclose()
            with pytest.raises(StreamError) as caught:
                await anext(events)
    assert caught.value.code == "stream_interrupted"


async def test_a_backend_that_was_never_there(executor: FlowExecutor) -> None:
    async with FlowExecutor("f", backend_url="http://127.0.0.1:1", limits=QUICK) as nobody:
        with pytest.raises(StreamError) as caught:
            await read(nobody.turn("Hi"))
        assert caught.value.code == "backend_unavailable"
        assert caught.value.retryable


async def test_a_silent_turn_counts_as_stalled(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    backend.hold_after = 1
    with pytest.raises(StreamError) as caught:
        await read(executor.turn("Hi"))
    assert caught.value.code == "stream_stalled"


async def test_an_error_in_the_stream_keeps_its_code(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    backend.fail_with = {"code": "provider_timeout", "message": "Too slow.", "retryable": True}
    with pytest.raises(ProviderError) as caught:
        await read(executor.turn("Hi"))
    assert (caught.value.code, caught.value.retryable) == ("provider_timeout", True)


async def test_a_refusal_keeps_its_code(executor: FlowExecutor, backend: ScriptedBackend) -> None:
    backend.refuse_with = (
        409,
        {"code": "turn_conflict", "message": "Other input.", "retryable": False},
    )
    with pytest.raises(FlowError) as caught:
        await read(executor.turn("Hi"))
    assert caught.value.code == "turn_conflict"


async def test_an_unknown_flow(backend: ScriptedBackend) -> None:
    async with FlowExecutor("missing", backend_url=backend.url, limits=QUICK) as executor:
        with pytest.raises(FlowError) as caught:
            await read(executor.turn("Hi"))
        assert caught.value.code == "flow_not_found"


async def test_a_forgotten_session_is_opened_anew(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    await executor.open_session()
    backend.sessions.clear()
    assert spoken(await read(executor.turn("Hi"))) == "Hello there."
    assert backend.paths("POST").count("sessions") == 2


async def test_a_turn_that_comes_while_the_session_is_opened_belongs_to_it(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    _, events = await asyncio.gather(executor.open_session(), read(executor.turn("Hi")))
    assert spoken(events) == "Hello there."
    assert backend.paths("POST").count("sessions") == 1


async def test_discarding_a_turn_stops_it_once(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    backend.hold_after = 1
    turn = executor.turn("Hi", turn_id="t", speculative=True)
    async with aclosing(turn.events()) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    await turn.discard()
    await turn.discard()
    assert backend.paths("DELETE") == ["sessions/s1/turns/t"]


async def test_discarding_a_turn_that_never_began_costs_no_call(
    executor: FlowExecutor, backend: ScriptedBackend
) -> None:
    turn = executor.turn("Hi")
    await turn.discard()
    assert await read(turn) == []
    assert backend.calls == []


@pytest.mark.parametrize("text", ["secret " * 20_000, "secret \udcff"])
async def test_what_cannot_be_sent_is_refused_without_being_repeated(
    executor: FlowExecutor, backend: ScriptedBackend, text: str
) -> None:
    with pytest.raises(FlowError) as caught:
        executor.turn(text)
    assert caught.value.code == "request_invalid"
    with pytest.raises(FlowError) as simple:
        await anext(executor.process_user_input_streaming(text))
    for error in (caught.value, simple.value):
        assert "secret" not in "".join(traceback.format_exception(error))
    assert backend.calls == []
