"""Growth is told from noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.growth import UNIT_S, growth

AT_S = np.arange(0, 570, 5.0)


def noise(
    seed: int, alike: float, size: float = 0.5
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of which each value resembles the one before."""
    steps = np.random.default_rng(seed).normal(0, size, len(AT_S))
    for i in range(1, len(steps)):
        steps[i] += alike * steps[i - 1]
    return steps


@given(st.floats(-50, 50), st.floats(0, 1000))
def test_a_straight_line_is_found(slope: float, start: float) -> None:
    found = growth(AT_S, start + slope * AT_S / UNIT_S)
    assert found.slope == pytest.approx(slope, abs=1e-6)


def test_noise_is_seldom_taken_for_growth_however_alike_its_neighbours_are() -> None:
    for alike in (0.0, 0.5, 0.8):
        grown = sum(bool(growth(AT_S, 400 + noise(seed, alike)).grows) for seed in range(200))
        # One in forty is what the interval promises.
        assert grown <= 16, alike


def test_growth_is_found_in_noise() -> None:
    for seed in range(50):
        assert growth(AT_S, 400 + 20 * AT_S / UNIT_S + noise(seed, 0.5)).grows


def test_a_number_that_stays_does_not_grow() -> None:
    found = growth(AT_S, [12] * len(AT_S))
    assert (found.slope, found.error, found.verdict) == (0, 0, "flat within noise")


@pytest.mark.parametrize("values", [[], [1.0], list(np.arange(5.0)), list(np.sin(AT_S[:20] / 15))])
def test_too_little_is_called_too_little(values: list[float]) -> None:
    found = growth(AT_S[: len(values)], values)
    assert found.grows is None
    assert found.error == math.inf
    assert "cannot be told" in found.verdict
