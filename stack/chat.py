"""`parley chat`: text with a flow, as its tokens come."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from rich.console import Console
from rich.text import Text

from agent_worker.flow_executor import FlowExecutor
from protocol.errors import ParleyError, StreamError, error_for
from protocol.events import Cancelled, Done, Error, Token
from protocol.settings import load_settings
from stack.parts import backend_root
from stack.settings import StackSettings
from stack.terminal import line_typed


def chat(flow: str, message: str | None = None, backend: str | None = None) -> None:
    """Says one message, or talks until the end of the input or of the flow.

    Raises:
        ParleyError: If the backend cannot be reached or the flow does not exist; in a
            conversation, a failed answer is shown and the next line is asked for.
    """
    settings = load_settings(StackSettings)
    executor = FlowExecutor(
        flow, backend_url=backend_root(backend, settings), api_key=settings.parley_api_key
    )
    asyncio.run(_chat(executor, message, Console(highlight=False, soft_wrap=True)))


async def _chat(executor: FlowExecutor, message: str | None, console: Console) -> None:
    async with executor:
        opened = await executor.open_session()
        try:
            if message is not None:
                await _turn(executor, message, console)
                return
            console.print(
                f"Talking with the flow {executor.flow_id}; end with Ctrl-D.", style="dim"
            )
            if opened.greeting:
                console.print(opened.greeting)
            while (line := await line_typed()) is not None:
                try:
                    if await _turn(executor, line, console):
                        return
                except ParleyError as error:
                    console.print(Text(error.message, style="red"))
        finally:
            # A courtesy: a session that nobody uses ends by itself.
            with suppress(StreamError):
                await executor.end_session()


async def _turn(executor: FlowExecutor, message: str, console: Console) -> bool:
    """Shows the answer; tells whether the session is over.

    Raises:
        ParleyError: The error that ended the turn.
    """
    async with aclosing(executor.turn(message).events()) as events:
        async for event in events:
            match event:
                case Token(content=content):
                    console.print(Text(content), end="")
                case Done(ended=ended):
                    console.print()
                    return ended
                case Error(code=code, message=text, retryable=retryable):
                    console.print()
                    raise error_for(code, text, retryable=retryable)
                case Cancelled(reason=reason):
                    console.print(Text(f" (cancelled: {reason})", style="dim"))
    return False
