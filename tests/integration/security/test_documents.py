"""Hostile documents: flows, templates, expressions, imports, addresses, voices and downloads."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from flow_backend.flows.foreign import convert
from flow_backend.flows.loading import load_file, load_text
from flow_backend.flows.validation import validate
from flow_backend.llm.scripted import Reply
from flow_backend.outbound.call import HttpAnswer
from protocol.errors import FlowError, SpeechError
from speech.piper.voices import download_voice
from tests.integration.backend_server import serve_backend, text_of
from tests.integration.outside_server import serve_outside
from tests.integration.security.callers import caller_with, closed_backend

REPLY: list[Reply | str] = [Reply(say="Hi.", times=None)]
TOO_LONG_S = 2.0
"""Others wait while a document is read or a template filled; a slow machine counted in."""


def said_by(text: str, **flow: Any) -> dict[str, Any]:
    """A flow whose first words are a template."""
    return {
        "id": "f",
        "nodes": [
            {"id": "start", "type": "start", "data": {}},
            {"id": "it", "type": "say", "data": {"text": text, "wait_for_input": True}},
        ],
        "edges": [{"id": "e", "source": "start", "target": "it", "data": {}}],
        **flow,
    }


# Templates and expressions.


@pytest.mark.parametrize(
    "template",
    [
        "{{ input.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__ }}",
        "{{ input['__class__'] }}",
        "{{ input | map: '__class__' }}",
        "{{ self }}{{ __builtins__ }}{{ globals }}{{ os }}{{ request }}{{ config }}",
        "{{ flow_secrets }}{{ settings }}{{ env }}{{ environment }}",
        "{{ cycler.__init__.__globals__ }}",
        "${secret:TOKEN}",
    ],
)
async def test_templates_see_nothing_of_the_process(template: str) -> None:
    async with serve_backend(REPLY, flow_secrets={"TOKEN": "planted-secret"}) as backend:
        flow = said_by(template, variables=dict.fromkeys(("self", "os"), ""))
        made = await backend.client.post("/api/flows", json=flow)
        if made.status_code == 422:
            return
        await backend.client.post("/api/flows/f/publish")
        said = text_of(await backend.turn("s", "hello"))
        for leaked in ("class", "built", "object", "planted", "module", "function", "0x"):
            assert leaked not in said.replace(template, ""), said


@pytest.mark.parametrize(
    "template",
    [
        "{% include '/etc/passwd' %}",
        "{% render 'x' %}",
        "{% include input %}",
        "{% extends 'x' %}",
        "{% import 'x' %}",
        "{% liquid\ninclude '/etc/passwd' %}",
    ],
)
async def test_templates_read_no_file(template: str) -> None:
    async with serve_backend(REPLY) as backend:
        answer = await backend.client.post("/api/flows", json=said_by(template))
        assert (answer.status_code, answer.json()["code"]) == (422, "flow_invalid")


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in (1..1000000000) %}x{% endfor %}",
        "{% for i in (1..5000) %}{% for j in (1..5000) %}x{% endfor %}{% endfor %}",
        "{% assign a = 'aaaaaaaaaaaaaaaa' %}{% for i in (1..60) %}"
        "{% assign a = a | append: a %}{% endfor %}{{ a }}",
        "{{ input | replace: '', input | replace: '', input | replace: '', input }}",
        "{% capture a %}{% for i in (1..5000) %}{{ input }}{% endfor %}{% endcapture %}{{ a }}",
    ],
)
async def test_templates_that_would_explode_are_stopped(template: str) -> None:
    async with serve_backend(REPLY) as backend:
        made = await backend.client.post("/api/flows", json=said_by(template))
        assert made.status_code == 201, made.text
        await backend.client.post("/api/flows/f/publish")
        begun = time.monotonic()
        events = await backend.turn("s", "a" * 2000)
        assert time.monotonic() - begun < TOO_LONG_S + 1
        assert len(text_of(events)) <= 200_000
        assert (await backend.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "condition",
    [
        "input.__class__ == 'x'",
        "__import__('os').system('true') == 0",
        "open('/etc/passwd') == ''",
        "getattr(input, 'x') == 1",
        "env.HOME == '/root'",
        "(" * 1500 + "true" + ")" * 1500,
        "-" * 3900 + "1 == 1",
        "!" * 3900 + "true",
        "[" * 1900 + "]" * 1900 + " == []",
        "input" + ".a" * 1900 + " == 1",
        "input.matches('(a+)+$')",
        "input.matches('(' + input + ')*')",
        "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, "
        "[1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, "
        "[1,2,3,4,5,6,7,8,9].all(g, a < 10)))))))",
    ],
)
async def test_expressions_reach_nothing_and_end_in_time(condition: str) -> None:
    async with serve_backend(REPLY) as backend:
        flow = said_by("No.")
        flow["nodes"] += [
            {"id": "split", "type": "logic_split", "data": {}},
            {"id": "yes", "type": "say", "data": {"text": "Yes.", "wait_for_input": True}},
        ]
        flow["edges"] = [
            {"id": "a", "source": "start", "target": "split", "data": {}},
            {
                "id": "b",
                "source": "split",
                "target": "yes",
                "data": {"condition_type": "expression", "condition": condition},
            },
            {"id": "c", "source": "split", "target": "it", "data": {"condition_type": "always"}},
        ]
        begun = time.monotonic()
        made = await backend.client.post("/api/flows", json=flow)
        assert made.status_code in (201, 422)
        if made.status_code == 201:
            await backend.client.post("/api/flows/f/publish")
            events = await backend.turn("s", "a" * 2000 + "!")
            assert events[-1]["type"] in ("done", "error")
        assert time.monotonic() - begun < TOO_LONG_S + 1
        assert (await backend.client.get("/healthz")).status_code == 200


# Flows that somebody sends, and documents of other systems.


def bombs() -> dict[str, str]:
    levels = "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" if n else "a0: &a0 [x, x, x]"
        for n in range(12)
    )
    return {
        "aliases": levels,
        "an alias to itself": "a: &a [*a]",
        "an object": "a: !!python/object/apply:os.system ['true']",
        "a name": "a: !!python/name:os.system",
        "a module": "a: !!python/module:os",
        "binary": "a: !!binary aGk=",
        "deep": "[" * 100_000,
        "deep maps": "{a: " * 20_000,
        "deep JSON": '{"a":' * 50_000,
        "deep blocks": "\n".join(" " * n + "- " for n in range(1500)),
        "a huge number": f"a: {'9' * 100_000}",
        "a merge": "a: &a {b: 1}\nc: {<<: *a}",
        "many documents": "--- a\n" * 10_000,
    }


@pytest.mark.parametrize("kind", bombs())
async def test_documents_that_would_explode_are_refused(kind: str) -> None:
    async with serve_backend(REPLY) as backend:
        begun = time.monotonic()
        for path in ("/api/flows", "/api/flows/validate"):
            answer = await backend.client.post(path, content=bombs()[kind])
            body = answer.json()
            assert answer.status_code == 422 or body["valid"] is False, (path, answer.text[:200])
        assert time.monotonic() - begun < 2 * TOO_LONG_S


@pytest.mark.parametrize("flow_id", ["../etc", "a/b", "..", "a\nb", "a\0b", "", "a" * 201, "%2e"])
async def test_a_flows_id_is_no_path(flow_id: str, tmp_path: Path) -> None:
    async with serve_backend(REPLY) as backend:
        answer = await backend.client.post("/api/flows", json=said_by("x", id=flow_id))
        assert answer.status_code == 422
    for path in ("/api/flows/../../etc/passwd", "/api/flows/%2e%2e%2fetc%2fpasswd"):
        async with serve_backend(REPLY, flows_dir=None) as backend:
            request = backend.client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=path.encode())
            assert (await backend.client.send(request)).status_code in (404, 422)


@pytest.mark.parametrize("kind", ["dify", "vapi", "pipecat"])
@pytest.mark.parametrize(
    "text", ["{{ x.__class__ }}", "{% include 'a' %}", "{% for i in", "${secret:A}"]
)
def test_what_is_imported_is_checked_like_any_flow(kind: str, text: str) -> None:
    folder = Path(__file__).parent.parent.parent / "unit" / "flows" / "foreign"
    source = load_file(next(folder.glob(f"{kind}.*")))

    def hostile(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: hostile(item) for key, item in value.items()}
        if isinstance(value, list):
            return [hostile(item) for item in value]
        return f"{value} {text}" if isinstance(value, str) and " " in value else value

    document, _ = convert(hostile(source.data), flow_id="imported")
    problems = validate(document)[1]
    if text.startswith("{%"):
        assert problems


@pytest.mark.parametrize("data", [None, [], 1, "x", {"nodes": 1}, {"workflow": {"graph": []}}])
def test_what_is_no_known_document_is_no_crash(data: Any) -> None:
    with pytest.raises(FlowError):
        convert(data, flow_id="imported")


async def test_what_a_document_says_is_text_and_no_template() -> None:
    """Passages of documents, and what users say, are put into prompts and never rendered."""
    planted = "Tides {{ company }} ${secret:TOKEN} {% include 'x' %}"
    async with serve_backend(REPLY, flow_secrets={"TOKEN": "planted-secret"}) as backend:
        flow = said_by("{{ found[0].text }} / {{ input }}", variables={"company": "Acme"})
        flow["nodes"].append(
            {
                "id": "look",
                "type": "knowledge",
                "data": {"documents": [{"text": planted}], "variable": "found"},
            }
        )
        flow["edges"] = [
            {"id": "a", "source": "start", "target": "look", "data": {}},
            {"id": "b", "source": "look", "target": "it", "data": {}},
        ]
        made = await backend.client.post("/api/flows", json=flow)
        assert made.status_code == 201, made.text
        await backend.client.post("/api/flows/f/publish")
        said = text_of(await backend.turn("s", "tides {{ company }}"))
        assert said == f"{planted} / tides {{{{ company }}}}"


# Addresses that a flow may not reach (SSRF), and what it may not put into a request.


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST.", "127.1", "0177.0.0.1", "0x7f.1", "2130706433",
        "0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254",
        "user@127.0.0.1", "93.184.216.34@127.0.0.1", "127.0.0.1#93.184.216.34",
    ],
)  # fmt: skip
async def test_http_nodes_reach_no_private_address(host: str) -> None:
    async with serve_outside() as outside, serve_backend(REPLY) as backend:
        port = outside.url.rpartition(":")[2]
        where = f"{host}:{port}" if "#" not in host else host.replace("#", f":{port}#")
        flow = said_by("After.")
        node = {"id": "call", "type": "http", "data": {"url": f"http://{where}/book", "retries": 0}}
        flow["nodes"].append(node)
        flow["edges"] = [
            {"id": "a", "source": "start", "target": "call", "data": {}},
            {"id": "b", "source": "call", "target": "it", "data": {}},
        ]
        made = await backend.client.post("/api/flows", json=flow)
        if made.status_code == 201:
            await backend.client.post("/api/flows/f/publish")
            assert (await backend.turn("s", "go"))[-1]["code"] in ("http_refused", "http_failed")
        assert outside.requests == []


@pytest.mark.parametrize(
    "said", ["x\r\nX-Admin: 1", "x\nX-Admin: 1", "x\rX-Admin: 1", "x\x01y", "ü\u2028X-Admin: 1"]
)
async def test_what_a_user_says_adds_no_header_and_leaves_no_path(said: str) -> None:
    async with (
        serve_outside() as outside,
        serve_backend(REPLY, http_allowed_hosts="127.0.0.1") as backend,
    ):
        flow = said_by("After.")
        flow["nodes"].append(
            {
                "id": "call",
                "type": "http",
                "data": {
                    "url": f"{outside.url}/book?q={{{{ input }}}}",
                    "headers": {"X-Said": "{{ input }}"},
                    "retries": 0,
                },
            }
        )
        flow["edges"] = [
            {"id": "a", "source": "start", "target": "call", "data": {}},
            {"id": "b", "source": "call", "target": "it", "data": {}},
        ]
        made = await backend.client.post("/api/flows", json=flow)
        assert made.status_code == 201, made.text
        await backend.client.post("/api/flows/f/publish")
        last = (await backend.turn("s", said))[-1]
        assert last["type"] == "done" or last["code"] in ("http_failed", "http_refused")
        for request in outside.requests:
            assert "x-admin" not in request["headers"]
        traversing = await backend.turn("s2", "../../admin?x=1#")
        assert traversing[-1]["type"] == "done"
        assert "/admin" not in outside.requests[-1]["query"]


@pytest.mark.parametrize(
    "url",
    [
        "{{ service }}/book",
        "http://{{ service | remove: 'http://' }}/book",
        "{% if service %}{{ service }}/x{% endif %}",
    ],
)
async def test_who_talks_does_not_choose_who_gets_the_flows_secrets(url: str) -> None:
    async with (
        serve_outside() as outside,
        closed_backend(
            http_allowed_hosts="*", flow_secrets={"TOKEN": "the-token-of-the-service"}
        ) as backend,
        caller_with(backend, "edit", "talk") as editor,
        caller_with(backend, "talk") as talker,
    ):
        flow = said_by("After.", variables={"service": outside.url, "who": "nobody"})
        data = {"url": url, "headers": {"X-Token": "${secret:TOKEN}"}, "retries": 0}
        flow["nodes"].append({"id": "call", "type": "http", "data": data})
        flow["edges"] = [
            {"id": "a", "source": "start", "target": "call", "data": {}},
            {"id": "b", "source": "call", "target": "it", "data": {}},
        ]
        made = await editor.post("/api/flows", json=flow)
        assert made.status_code == 201, made.text
        await editor.post("/api/flows/f/publish")

        async def opened(client: httpx.AsyncClient, **variables: str) -> tuple[int, str]:
            answer = await client.post("/api/flows/f/sessions", json={"variables": variables})
            return answer.status_code, answer.text

        status, said = await opened(talker, service="http://elsewhere.example")
        assert (status, "'service'" in said) == (403, True)
        assert (await opened(talker, service=outside.url, who="me"))[0] == 201
        assert (await opened(editor, service="http://elsewhere.example"))[0] == 201
        flow["nodes"][0]["data"] = {"variables": {"service": {"type": "string"}}}
        await editor.put("/api/flows/f", json=flow, headers={"If-Match": "*"})
        await editor.post("/api/flows/f/publish")
        assert (await opened(talker, service="http://elsewhere.example"))[0] == 201


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        '{"a": "\\ud83d"}',
        '{"\\ud800": 1}',
        "[NaN]",
        "[1e999]",
    ],
    ids=["without end", "deep", "half a character", "half a name", "no number", "infinite"],
)
def test_an_answer_that_no_session_could_keep_is_text(body: str) -> None:
    assert HttpAnswer(status=200, body=body).value() == body


# Voices, and what is downloaded.


@pytest.mark.parametrize(
    "voice",
    [
        "../../../etc/passwd", "/etc/passwd", "..", ".", "en_US-joe-medium/../x", "a\\b", "a\0b",
        "file:///etc/passwd", "en_US-joe-medium.onnx", "~/x.onnx", "%2e%2e%2f", "a\nb", " ",
    ],
)  # fmt: skip
async def test_a_voice_is_a_name_and_no_path(voice: str) -> None:
    async with serve_backend(REPLY) as backend:
        answer = await backend.client.post("/api/tts", json={"text": "x", "voice": voice})
        assert answer.status_code in (404, 422), answer.text
        assert "root:" not in answer.text
        message = answer.json()["message"]
        assert "No such file" not in message
        assert message.isprintable()


class _Copy(BaseHTTPRequestHandler):
    """A hostile copy of Piper's voices."""

    def __init__(self, files: dict[str, tuple[bytes, dict[str, str]]], *args: Any) -> None:
        self.files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        content, headers = self.files.get(self.path, (b"", {}))
        self.send_response(200 if self.path in self.files else 404)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(files: dict[str, tuple[bytes, dict[str, str]]]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Copy, files))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


NAME = "xx_YY-test-low"


def listing(content: bytes, path: str = f"x/{NAME}.onnx", size: int | None = None) -> bytes:
    files = {
        path: {
            "size_bytes": len(content) if size is None else size,
            "md5_digest": hashlib.md5(content).hexdigest(),
        },
        f"x/{NAME}.onnx.json": {
            "size_bytes": 2,
            "md5_digest": hashlib.md5(b"{}").hexdigest(),
        },
    }
    language = {"code": "xx_YY", "name_english": "Testish"}
    entry = {"language": language, "quality": "low", "num_speakers": 1, "files": files}
    return json.dumps({NAME: entry}).encode()


PLAIN: dict[str, str] = {}
PACKED = {"Content-Encoding": "gzip"}
ZEROS = b"\0" * 50_000_000


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"/voices.json": (gzip.compress(ZEROS), PACKED)}, id="a packed list"),
        pytest.param({"/voices.json": (b" " * (40 << 20), PLAIN)}, id="a list without end"),
        pytest.param({"/voices.json": (b"[" * 200_000, PLAIN)}, id="a deep list"),
        pytest.param(
            {
                "/voices.json": (listing(b"model"), PLAIN),
                f"/x/{NAME}.onnx": (gzip.compress(ZEROS), PACKED),
            },
            id="a packed voice",
        ),
        pytest.param(
            {
                "/voices.json": (listing(b"model"), PLAIN),
                f"/x/{NAME}.onnx": (b"x" * 5_000_000, PLAIN),
            },
            id="a voice larger than announced",
        ),
        pytest.param(
            {"/voices.json": (listing(b"model", size=1 << 50), PLAIN)}, id="a size beyond any disk"
        ),
        pytest.param(
            {
                "/voices.json": (listing(b"model"), PLAIN),
                f"/x/{NAME}.onnx": (b"wrong", PLAIN),
            },
            id="another content",
        ),
        pytest.param(
            {"/voices.json": (listing(b"x", path="../../../../tmp/evil.onnx"), PLAIN)},
            id="a path that leads away",
        ),
    ],
)
def test_a_hostile_copy_of_the_voices_leaves_nothing_behind(
    files: dict[str, tuple[bytes, dict[str, str]]], tmp_path: Path
) -> None:
    files = {f"/x/{NAME}.onnx.json": (b"{}", PLAIN), **files}
    folder = tmp_path / "in" / "voices"
    with serving(files) as url, pytest.raises(SpeechError):
        download_voice(NAME, folder=folder, base_url=url)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] in ([], [f"{NAME}.onnx.json"])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    sparse = tmp_path / "flow.yaml"
    with sparse.open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(FlowError, match="larger"):
        load_file(sparse)
    with pytest.raises(FlowError, match="larger"):
        load_text(" " * 3_000_000)
