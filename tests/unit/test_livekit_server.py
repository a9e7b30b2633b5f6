from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
import yaml

from protocol.errors import ConfigError
from protocol.settings import load_settings
from stack import livekit_keys, livekit_server
from stack.settings import StackSettings


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An empty PATH folder and an empty cache."""
    programs, cache = tmp_path / "bin", tmp_path / "cache"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(livekit_server, "cache_dir", lambda: cache)
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
    return programs, cache


def test_the_program_on_path_comes_before_the_cached_build(folders: tuple[Path, Path]) -> None:
    programs, _ = folders
    assert livekit_server.find() is None
    cached = program(livekit_server.cached_build(), "exit 0")
    assert livekit_server.find() == cached
    assert livekit_server.find_or_build(lambda text: None) == cached
    on_path = program(programs / "livekit-server", "exit 0")
    assert livekit_server.find() == on_path


def test_a_build_is_cached_under_its_version(folders: tuple[Path, Path]) -> None:
    programs, cache = folders
    program(
        programs / "go",
        'if [ "$1" = env ]; then echo go1.26.1; exit; fi\n'
        f'echo "$@" "$GOTOOLCHAIN" > {cache}/arguments\n'
        'echo compiling; echo binary > "$GOBIN/server"',
    )
    said: list[str] = []
    built = livekit_server.build(said.append)
    assert built == cache / "livekit-server" / livekit_server.VERSION / "livekit-server"
    assert built.read_text() == "binary\n"
    arguments = (cache / "arguments").read_text()
    assert f"@v{livekit_server.VERSION} local" in arguments
    assert said[0] == f"building LiveKit server {livekit_server.VERSION}"
    assert said[-1].endswith("compiling")
    assert [path.name for path in built.parent.iterdir()] == ["livekit-server"]


@pytest.mark.parametrize(
    ("last_words", "code"),
    [("write: no space left on device", "disk_full"), ("no route to host", "tool_missing")],
)
def test_a_failed_build_says_why_and_leaves_nothing(
    folders: tuple[Path, Path], last_words: str, code: str
) -> None:
    programs, cache = folders
    program(
        programs / "go",
        f'if [ "$1" = env ]; then echo go1.26.1; exit; fi\necho "{last_words}"; exit 1',
    )
    with pytest.raises(ConfigError) as caught:
        livekit_server.build(lambda text: None)
    assert caught.value.code == code
    assert livekit_server.find() is None
    assert list((cache / "livekit-server" / livekit_server.VERSION).iterdir()) == []


def test_an_old_go_is_not_taken(folders: tuple[Path, Path]) -> None:
    programs, _ = folders
    program(programs / "go", "echo go1.19.8")
    assert livekit_server.find_go() is None
    program(programs / "go", "echo go1.24.0")
    assert livekit_server.find_go() == programs / "go"


def test_too_little_disk_is_said_before_the_build(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(ConfigError, match="takes 2 GB of disk") as caught:
        livekit_server.build(lambda text: None)
    assert caught.value.code == "disk_full"


def test_the_configuration_stays_on_loopback() -> None:
    settings = load_settings(StackSettings, livekit_port=1, livekit_udp_port=3)
    document = yaml.safe_load(livekit_server.configuration(settings, "key", "secret"))
    assert document["port"] == 1
    assert document["bind_addresses"] == ["127.0.0.1"]
    assert document["rtc"]["node_ip"] == "127.0.0.1"
    assert document["rtc"]["stun_servers"] == ["127.0.0.1:3"]
    assert document["keys"] == {"key": "secret"}


@pytest.fixture
def no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".env"


def test_a_key_pair_is_made_once_and_kept_private(no_environment: Path) -> None:
    no_environment.write_text("LLM=ollama\nLIVEKIT_API_KEY=\nLIVEKIT_API_SECRET=")
    assert livekit_keys.key_pair(load_settings(StackSettings)) is None
    made = livekit_keys.make_key_pair(no_environment)
    assert len(made.secret.encode()) >= livekit_keys.SECRET_BYTES
    assert made.secret not in repr(made)
    assert livekit_keys.key_pair(load_settings(StackSettings)) == made
    assert stat.S_IMODE(no_environment.stat().st_mode) == 0o600
    assert no_environment.read_text().startswith("LLM=ollama\nLIVEKIT_API_KEY=API")
    assert sorted(path.name for path in no_environment.parent.iterdir()) == [".env"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("LIVEKIT_API_KEY=devkey", "LIVEKIT_API_SECRET is not set"),
        ("LIVEKIT_API_SECRET=" + 32 * "s", "LIVEKIT_API_KEY is not set"),
        ("LIVEKIT_API_KEY=devkey\nLIVEKIT_API_SECRET=secret", "expected 32 bytes"),
    ],
)
def test_half_and_weak_pairs_are_refused(no_environment: Path, lines: str, said: str) -> None:
    no_environment.write_text(lines)
    with pytest.raises(ConfigError, match=said):
        livekit_keys.key_pair(load_settings(StackSettings))


def test_a_folder_that_cannot_be_written_is_named(no_environment: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written to"):
        livekit_keys.make_key_pair(no_environment.parent / "absent" / ".env")
