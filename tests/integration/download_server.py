"""A server of large files that breaks off, and remembers what it was asked for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class DownloadServer:
    """Its files, and what becomes of those who ask for them."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        """`ETag` of a file; its sha256 where none is here."""
        self.cuts: list[int] = []
        """So many bytes are sent to each of the next who ask, and then the connection ends."""
        self.knows_ranges = True
        self.tells_lengths = True
        self.asked: list[tuple[str, str | None]] = []
        """Path and range of each GET."""

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator[DownloadServer]:
        files = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(wants_body=False)

            def do_GET(self) -> None:
                self.answer(wants_body=True)

            def answer(self, *, wants_body: bool) -> None:
                content = files.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                whole, begin = len(content), 0
                asked = self.headers.get("Range")
                if wants_body:
                    files.asked.append((self.path, asked))
                if asked is not None and files.knows_ranges:
                    begin = int(asked.removeprefix("bytes=").removesuffix("-"))
                    content = content[begin:]
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
                else:
                    self.send_response(200)
                digest = hashlib.sha256(files.files[self.path]).hexdigest()
                self.send_header("ETag", f'"{files.tags.get(self.path, digest)}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                if files.tells_lengths:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if wants_body:
                    self.wfile.write(content[: files.cuts.pop(0)] if files.cuts else content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        files.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
