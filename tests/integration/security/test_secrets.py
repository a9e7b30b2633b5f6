"""Secrets come from the environment or from files, and leave no trace anywhere else."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from flow_backend.settings import BackendSettings
from protocol.settings import EnvSettings, env_names, load_settings
from stack import settings_pages
from stack.ports import free_port
from tests.integration.security.test_started import environment, run, started

pytestmark = pytest.mark.timeout(180)

WITH_PASSWORDS = {"database_url", "redis_url"}
"""Texts, but with a password in the middle."""
PUBLIC_HALVES = {"livekit_api_key"}


def secret_fields() -> list[Any]:
    found = []
    for process in settings_pages.processes():
        for name, field in process.settings.model_fields.items():
            if name in WITH_PASSWORDS or "SecretStr" in str(field.annotation):
                variable = env_names(name, field)[0]
                found.append(pytest.param(process.settings, name, id=f"{process.name} {variable}"))
    return found


@pytest.mark.parametrize(("cls", "name"), secret_fields())
def test_every_secret_may_stand_in_a_file_and_is_shown_nowhere(
    cls: type[EnvSettings], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = f"redis://:{secrets.token_hex(20)}@localhost"
    field = cls.model_fields[name]
    value = json.dumps({"A": planted}) if name == "flow_secrets" else planted
    file = tmp_path / "secret"
    file.write_text(f"{value}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for variable in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(variable, "x" * 40)
    monkeypatch.delenv(env_names(name, field)[0], raising=False)
    monkeypatch.setenv(f"{env_names(name, field)[0]}_FILE", str(file))
    settings = load_settings(cls)
    found = getattr(settings, name)
    if isinstance(found, dict):
        found = found["A"]
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == planted
    assert planted not in f"{settings!r} {settings}"
    assert planted not in json.dumps(settings.model_dump(mode="json", exclude=WITH_PASSWORDS))


def test_what_is_called_a_secret_is_kept_as_one() -> None:
    for process in settings_pages.processes():
        for name, field in process.settings.model_fields.items():
            if re.search(r"(key|secret|password|token)s?$", name) and name not in PUBLIC_HALVES:
                kept = "SecretStr" in str(field.annotation) or field.annotation is int
                assert kept or name in ("api_keys", "history_tokens", "llm_context_tokens"), name


def test_a_secret_of_flows_may_stand_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from a file\n", encoding="utf-8")
    monkeypatch.setenv("FLOW_SECRET_CRM_FILE", str(tmp_path / "token"))
    assert load_settings(BackendSettings).flow_secrets["CRM"].get_secret_value() == "from a file"


class _Echo(BaseHTTPRequestHandler):
    """A provider that refuses a key and repeats it, as some do."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"Incorrect API key provided: {self.headers.as_string()} {self.path}"
        body = json.dumps({"error": {"message": said, "code": "invalid_api_key"}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def echoing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PROVIDERS = ("OPENAI", "ANTHROPIC", "GEMINI", "OPENROUTER", "ELEVENLABS", "INWORLD")


def planted_settings(folder: Path, url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Settings with a secret wherever one may stand, half of them in files; and the secrets."""
    names = [f"{name}_API_KEY" for name in PROVIDERS]
    names += ["LIVEKIT_API_SECRET", "PARLEY_API_KEY", "FLOW_SECRET_CRM", "REDIS"]
    planted = {name: f"planted{secrets.token_hex(20)}" for name in names}
    values = {f"{name}_BASE_URL": url for name in PROVIDERS}
    for number, (name, secret) in enumerate(planted.items()):
        if name == "REDIS":
            values["REDIS_URL"] = f"redis://:{secret}@127.0.0.1:{free_port()}/0"
        elif number % 2:
            (folder / name).write_text(secret, encoding="utf-8")
            values[f"{name}_FILE"] = str(folder / name)
        else:
            values[name] = secret
    return values, planted


FLOW = {
    "id": "crm",
    "nodes": [
        {"id": "start", "type": "start", "data": {}},
        {
            "id": "call",
            "type": "http",
            "data": {
                "method": "POST",
                "headers": {"Authorization": "Bearer ${secret:CRM}"},
                "body": {"key": "${secret:CRM}"},
                "retries": 0,
            },
        },
        {"id": "end", "type": "end", "data": {"text": "Bye."}},
    ],
    "edges": [
        {"id": "a", "source": "start", "target": "call", "data": {}},
        {"id": "b", "source": "call", "target": "end", "data": {}},
    ],
}


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_log_event_error_or_metric_holds_a_secret(form: str, tmp_path: Path) -> None:
    shown: list[str] = []

    def keep(response: httpx.Response) -> None:
        shown.append(f"{response.status_code} {dict(response.headers)} {response.text}")

    with echoing() as url:
        values, planted = planted_settings(tmp_path, url)
        values |= {
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": form,
            "API_KEYS": "required",
            "HTTP_ALLOWED_HOSTS": "127.0.0.1",
            "LLM": "openai",
            "LLM_RETRIES": "0",
            "LIVEKIT_URL": "ws://127.0.0.1:9",
            "LIVEKIT_API_KEY": "APIpublic",
        }
        status, made, said = await run(
            tmp_path, *("stack", "keys", "create", "all", "--scope", "admin", "--json"), **values
        )
        assert status == 0, said
        shown.append(said)
        planted["the key"] = json.loads(made)["key"].split("_", 2)[2]
        planted["a wrong key"] = f"planted{secrets.token_hex(20)}"
        lines: list[bytes] = []
        async with (
            started(tmp_path, lines=lines, **values) as backend,
            httpx.AsyncClient(base_url=backend, timeout=30, trust_env=False) as client,
        ):
            wrong = {"Authorization": f"Bearer {planted['a wrong key']}"}
            keep(await client.get("/v1/models", headers=wrong))
            client.headers["Authorization"] = f"Bearer {json.loads(made)['key']}"
            for llm in ("openai", "claude", "gemini", "openrouter"):
                body = {"prompt": "x", "llmProvider": llm, "enableTTS": False}
                keep(await client.post("/api/stream", json=body))
            for tts in ("elevenlabs", "inworld", "openai"):
                keep(await client.post("/api/tts", json={"text": "x", "provider": tts}))
            flow = json.loads(json.dumps(FLOW))
            flow["nodes"][1]["data"]["url"] = f"{url}/${{secret:CRM}}"
            keep(await client.post("/api/flows", json=flow))
            keep(await client.post("/api/flows/crm/publish"))
            keep(await client.get("/api/flows/crm/stream/s?input=x"))
            assert '"code":"http_failed"' in shown[-1], shown[-1]
            keep(await client.get("/api/flows/crm/sessions/s"))
            keep(await client.get("/api/flows/default/stream/s?input=x"))
            keep(await client.post("/api/chat", json={"message": "x"}))
            keep(await client.post("/v1/chat/completions", json={"model": "default"}))
            for path in ("/metrics", "/api/status", "/api/providers", "/readyz", "/openapi.json"):
                keep(await client.get(path))
            keep(await client.post("/api/token", json={}))
            assert shown[-1].startswith("201")
            keep(await client.post("/api/flows", content=b"\xff"))
            socket = backend.replace("http", "ws", 1) + "/ws"
            offered: Any = ["parley", f"parley.key.{json.loads(made)['key']}"]
            async with connect(socket, proxy=None, subprotocols=offered) as talk:
                await talk.send(json.dumps({"type": "user_message", "data": {"text": "x"}}))
                while (message := json.loads(await talk.recv()))["type"] != "error":
                    shown.append(str(message))
                shown.append(str(message))
            offered = ["parley", f"parley.key.{planted['a wrong key']}"]
            with pytest.raises(InvalidStatus):
                await connect(socket, proxy=None, subprotocols=offered)
        log = b"".join(lines).decode()
        database = b"".join(file.read_bytes() for file in tmp_path.glob("parley.db*"))  # noqa: ASYNC240 - nobody waits
        for name, secret in planted.items():
            assert secret not in log, f"{name} in the log"
            assert not any(secret in each for each in shown), f"{name} in an answer"
            assert secret.encode() not in database, f"{name} in the database"


async def test_no_error_at_the_start_holds_a_secret(tmp_path: Path) -> None:
    planted = f"planted{secrets.token_hex(20)}"
    nowhere = f"127.0.0.1:{free_port()}"
    for wrong in (
        {"DATABASE_URL": f"postgresql://parley:{planted}@{nowhere}/parley"},
        {"DATABASE_URL": f"oracle://parley:{planted}@{nowhere}/parley"},
        {"DATABASE_URL": f"{planted} is no url"},
        {"REDIS_URL": f"http://:{planted}@{nowhere}"},
        {"PARLEY_API_KEY": planted[:20]},
        {"PARLEY_API_KEY_FILE": f"/{planted}/absent"},
        {"FLOW_SECRETS": f'["{planted}"]'},
        {"FLOW_SECRETS": f'{{"A": {planted}'},
        {"LIVEKIT_URL": f"{planted}"},
    ):
        status, out, said = await run(tmp_path, "flow_backend", **{"LOG_LEVEL": "DEBUG", **wrong})
        assert status != 0, wrong
        where = next(iter(wrong))
        assert where in said
        if where != "PARLEY_API_KEY_FILE":
            assert planted[:20] not in out + said, said


async def test_the_workers_log_holds_no_secret(tmp_path: Path) -> None:
    """It cannot reach its LiveKit server, and says so at length."""
    values, planted = planted_settings(tmp_path, "http://127.0.0.1:9")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent_worker"),
        cwd=tmp_path,
        env=environment(
            tmp_path,
            **values,
            LIVEKIT_URL=f"ws://127.0.0.1:{free_port()}",
            LIVEKIT_API_KEY="APIpublic",
            LOG_LEVEL="DEBUG",
            WORKER_PORT=str(free_port()),
            DRAIN_S="1",
        ),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    lines: list[bytes] = []
    while line := await process.stderr.readline():
        lines.append(line)
        if b"retry" in line:
            break
    process.terminate()
    lines.append(await process.stderr.read())
    await process.wait()
    log = b"".join(lines).decode()
    assert "retry" in log
    for name, secret in planted.items():
        assert secret not in log, name
