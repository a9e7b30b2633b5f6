from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ECHO = """
import asyncio
import signal
from stack.terminal import line_typed

async def echo():
    while (line := await line_typed()) is not None:
        print(line, flush=True)
    print("ended", flush=True)

# A background job's child would ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(echo())
"""


async def echo() -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ECHO),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process, process.stdin, process.stdout


async def test_ctrl_c_ends_the_wait_for_a_line() -> None:
    process, typing, said = await echo()
    typing.write(b"one\n")
    assert await said.readline() == b"one\n"
    process.send_signal(signal.SIGINT)
    # Nothing more is typed, and the input stays open.
    _, errors = await asyncio.wait_for(asyncio.gather(process.wait(), process.stderr.read()), 20)
    assert process.returncode == -signal.SIGINT
    assert b"Fatal" not in errors
    typing.close()


async def test_lines_are_read_to_the_end_of_the_input_whatever_is_in_them() -> None:
    process, typing, said = await echo()
    typing.write(b"\n  \n\xff one\nlast")
    typing.write_eof()
    assert (await said.read()).decode().splitlines() == ["\ufffd one", "last", "ended"]
    assert await process.wait() == 0
