"""The threads that run the models: few, shared by all streams, the most urgent step first."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from protocol.errors import SpeechError

T = TypeVar("T")


class Workers:
    """Runs steps by deadline, earliest first.

    A stream that has no sound yet gives the time of its asking as deadline, one that plays the
    time at which it runs out of sound. So first chunks go before later chunks of others, except
    of those that are already silent. The queue needs no bound of its own: a stream has at most
    one step in it.
    """

    def __init__(self, count: int) -> None:
        self._heap: list[tuple[float, int, Future[Any], Callable[[], Any]]] = []
        self._order = itertools.count()
        self._ready = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"piper-{i}", daemon=True) for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, step: Callable[[], T], deadline_s: float) -> Future[T]:
        """Queues a step; cancelling the future before it runs drops it.

        Args:
            step: Runs on one of the threads.
            deadline_s: When its result is needed, on the clock `time.monotonic`.

        Raises:
            SpeechError: `synthesis_failed` after `close`.
        """
        future: Future[T] = Future()
        with self._ready:
            if self._closed:
                raise _closed()
            heapq.heappush(self._heap, (deadline_s, next(self._order), future, step))
            self._ready.notify()
        return future

    @property
    def waiting(self) -> int:
        """Steps in the queue."""
        return len(self._heap)

    def close(self) -> None:
        """Fails what waits, lets running steps end and joins the threads."""
        with self._ready:
            self._closed = True
            dropped = [future for _, _, future, _ in self._heap]
            self._heap.clear()
            self._ready.notify_all()
        for future in dropped:
            if future.set_running_or_notify_cancel():
                future.set_exception(_closed())
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._heap and not self._closed:
                    self._ready.wait()
                if not self._heap:
                    return
                _, _, future, step = heapq.heappop(self._heap)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = step()
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the step
                future.set_exception(error)
            else:
                future.set_result(result)


def _closed() -> SpeechError:
    return SpeechError("synthesis_failed", "The Piper engine is closed.", retryable=False)
