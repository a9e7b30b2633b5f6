"""The engine's order of finals and interims, with streams on several threads; no model."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from speech.moonshine import MoonshineEngine
from speech.moonshine.decoding import Abort, Decoded
from speech.moonshine.tokenizer import Tokenizer

LOOPS = 4
ROUNDS = 150
SAMPLES = np.zeros(160, np.float32)


class InstantDecoder:
    """Hears nothing, at once."""

    def decode(
        self,
        samples: npt.NDArray[np.float32],
        *,
        draft: Sequence[int],
        progress: list[int] | None,
        abort: Abort,
    ) -> Decoded:
        return Decoded((), 1.0, 0, looped=False)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after every few instructions."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("hasty_threads")
def test_loops_on_several_threads_leave_the_engine_idle() -> None:
    engine = MoonshineEngine(threads=1, decodes=2)
    tokenizer = Tokenizer.__new__(Tokenizer)
    tokenizer.decode = lambda tokens: ""  # type: ignore[method-assign] # nothing is loaded here
    engine._loaded = (InstantDecoder(), tokenizer)  # type: ignore[assignment]

    async def hear() -> None:
        for _ in range(ROUNDS):
            await asyncio.gather(engine.decode(SAMPLES), engine.decode_interim(SAMPLES))

    threads = [threading.Thread(target=asyncio.run, args=(hear(),)) for _ in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not engine.busy
    assert asyncio.run(engine.decode_interim(SAMPLES)) is not None
    asyncio.run(engine.aclose())
