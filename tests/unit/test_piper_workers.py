from __future__ import annotations

import threading

import pytest

from protocol.errors import SpeechError
from speech.piper.workers import Workers


def test_the_most_urgent_step_goes_first_and_a_cancelled_one_never() -> None:
    workers = Workers(1)
    busy, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def block() -> None:
        busy.set()
        go_on.wait()

    workers.submit(block, 0)
    busy.wait()
    later = workers.submit(lambda: order.append("later chunk"), 30)
    first = workers.submit(lambda: order.append("first chunk"), 10)
    silent = workers.submit(lambda: order.append("already silent"), 5)
    dropped = workers.submit(lambda: order.append("dropped"), 1)
    assert dropped.cancel()
    go_on.set()
    for future in (later, first, silent):
        future.result()
    workers.close()
    assert order == ["already silent", "first chunk", "later chunk"]


def test_errors_reach_the_one_who_waits_and_the_thread_lives_on() -> None:
    workers = Workers(1)
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 / 0, 0).result()
    assert workers.submit(lambda: 7, 0).result() == 7
    workers.close()


def test_closing_fails_what_waits() -> None:
    workers = Workers(1)
    busy, go_on = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go_on.wait()

    running = workers.submit(block, 0)
    busy.wait()
    waiting = workers.submit(lambda: 1, 0)
    closing = threading.Thread(target=workers.close)
    closing.start()
    with pytest.raises(SpeechError, match="closed"):
        waiting.result()
    go_on.set()
    closing.join()
    assert running.result() is None
    with pytest.raises(SpeechError, match="closed"):
        workers.submit(lambda: 1, 0)
