"""Our own clients carry a key: the worker's executor, and the commands as people run them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from agent_worker.flow_executor import FlowExecutor
from protocol.errors import AccessError, ConfigError
from stack.caller import invite
from tests.integration.security.callers import CONFIGURED, closed_backend
from tests.integration.security.test_rooms import LIVEKIT
from tests.integration.security.test_started import run


async def test_the_workers_executor_carries_a_key_to_every_call() -> None:
    async with closed_backend() as backend:
        key = SecretStr(CONFIGURED)
        async with FlowExecutor("default", backend_url=backend.url, api_key=key) as executor:
            await executor.open_session()
            turn = executor.turn("hello", speculative=True)
            await turn.commit()
            assert [event.type async for event in turn.events()][-1] == "done"
            assert (await executor.session_state()).transcript[0].text == "hello"
            await executor.end_session()
        async with FlowExecutor("default", backend_url=backend.url, api_key=key) as executor:
            said = [piece async for piece in executor.process_user_input_streaming("hello")]
            assert "".join(said) == "Hi."


async def test_without_a_key_our_clients_say_what_is_missing() -> None:
    async with closed_backend(**LIVEKIT) as backend:
        async with FlowExecutor("default", backend_url=backend.url) as executor:
            with pytest.raises(AccessError, match="parley keys create"):
                await executor.open_session()
        with pytest.raises(ConfigError, match="parley keys create"):
            await invite(backend.url)
        assert (await invite(backend.url, api_key=SecretStr(CONFIGURED))).token


async def test_the_command_takes_its_key_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{CONFIGURED}\n", encoding="utf-8")
    async with closed_backend() as backend:
        chat = ("stack", "chat", "hello", "--backend", backend.url)
        status, said, error = await run(tmp_path, *chat, PARLEY_API_KEY_FILE=str(file))
        assert (status, said.strip()) == (0, "Hi."), error
        status, _, error = await run(tmp_path, *chat)
        assert status == 1
        assert "parley keys create" in error


async def test_the_stack_does_not_start_without_a_key_for_its_worker(tmp_path: Path) -> None:
    status, _, error = await run(tmp_path, "stack", "up", BACKEND_HOST="0.0.0.0")
    assert status == 1
    assert "parley keys create worker --save" in error
