"""Two calls that are the first of a worker, at the same moment."""

from __future__ import annotations

import asyncio
import sys

FIRST_USES = """
import threading
from agent_worker.__main__ import load_ahead
from livekit.rtc._ffi_client import FfiClient
from protocol import leaving

load_ahead()
found, together = [], threading.Barrier(2)

def use():
    together.wait()
    found.append(FfiClient.instance)

threads = [threading.Thread(target=use) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(found[0] is found[1])
leaving.leave(0)
"""


async def test_their_threads_share_one_native_library() -> None:
    """Without `load_ahead` each gets one of its own, every time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FIRST_USES),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await process.communicate()
    assert (process.returncode, said.strip()) == (0, b"True"), complaint.decode()
