"""A long run of random text; `pytest -m slow tests/integration/test_text_fuzz.py`."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speech.text import SpokenStream
from tests.unit.test_text_positions import check_map
from tests.unit.test_text_properties import LANGUAGES, TEXTS

SLOWEST_MS_PER_CHAR = 2.0
"""Far above what any text takes; a rule that backtracks without bound goes far beyond it."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(st.lists(TEXTS, max_size=8), st.sampled_from(LANGUAGES), st.integers(1, 40))
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_text_fails_or_takes_long(texts: list[str], language: str, repeat: int) -> None:
    stream = SpokenStream(language)
    stream.push("1")
    for text in texts:
        long_text = text * repeat
        started = time.process_time()
        spoken = stream.push(long_text)
        took_ms = (time.process_time() - started) * 1000
        assert took_ms < 150 + SLOWEST_MS_PER_CHAR * len(long_text)
        check_map(spoken)
