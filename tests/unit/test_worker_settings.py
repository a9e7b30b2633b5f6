from __future__ import annotations

import pytest

from agent_worker.phrases import phrase_for
from agent_worker.settings import WorkerSettings
from protocol.errors import ConfigError
from protocol.settings import load_settings

KEYS = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret of a key"}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("without-env-file"))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIVEKIT_URL", "127.0.0.1:7880"),
        ("LIVEKIT_URL", "ws://"),
        ("BACKEND_URL", "ftp://backend"),
        ("BRAIN", "two words"),
        ("MAX_CALLS", "0"),
        ("ENDPOINTING_MIN_S", "soon"),
        ("AGENT_NAME", "two words"),
        ("HANG_UP", "slam"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_its_value_kept_quiet(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings(WorkerSettings)
    assert name in caught.value.message
    assert value not in caught.value.message


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_keys_are_needed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=name):
        load_settings(WorkerSettings)


@pytest.mark.parametrize(
    ("env", "delays_s"),
    [
        ({}, (0.25, 1.2)),
        ({"TURN_PACE": "quick"}, (0.2, 0.7)),
        ({"TURN_PACE": "patient"}, (0.6, 3.0)),
        ({"TURN_PACE": "patient", "ENDPOINTING_MAX_S": "2"}, (0.6, 2.0)),
        ({"ENDPOINTING_MIN_S": "0"}, (0.0, 1.2)),
    ],
)
def test_the_pace_sets_delays_that_are_not_set(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], delays_s: tuple[float, float]
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert load_settings(WorkerSettings).endpointing_delays_s == delays_s


def test_delays_must_be_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINTING_MAX_S", "0.1")
    with pytest.raises(ConfigError, match="ENDPOINTING_MAX_S"):
        load_settings(WorkerSettings)


def test_each_error_has_a_true_phrase() -> None:
    settings = load_settings(WorkerSettings)
    assert phrase_for("flow_not_found", settings) == settings.phrase_no_flow
    assert phrase_for("provider_timeout", settings) == settings.phrase_unreachable
    assert phrase_for("backend_unavailable", settings) == settings.phrase_unreachable
    assert phrase_for("database_unavailable", settings) == settings.phrase_unreachable
    assert phrase_for("disk_full", settings) == settings.phrase_unreachable
    assert phrase_for("stream_interrupted", settings) == settings.phrase_failed
    assert phrase_for("", settings) == settings.phrase_failed


def test_the_direct_way_needs_a_key_or_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BRAIN", "openai")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY or OPENAI_BASE_URL"):
        load_settings(WorkerSettings)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    assert load_settings(WorkerSettings).brain == "openai"


def test_a_worker_takes_as_many_calls_as_it_has_cores_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert load_settings(WorkerSettings).calls_at_once == 3
    monkeypatch.setenv("MAX_CALLS", "7")
    assert load_settings(WorkerSettings).calls_at_once == 7
