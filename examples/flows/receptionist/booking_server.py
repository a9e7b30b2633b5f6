"""A small booking service in memory, for the receptionist to call.

    python booking_server.py [PORT]

`GET /slots?day=tuesday` gives the free times, `POST /bookings {day, time, name}` takes one. A
request with an `Idempotency-Key` that was seen before gets the same answer and books nothing.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

TIMES = ["9:30", "11:00", "14:30"]


class BookingServer(ThreadingHTTPServer):
    """Holds the book."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        days = ("monday", "tuesday", "wednesday", "thursday")
        self.free: dict[str, list[str]] = {day: list(TIMES) for day in days} | {"friday": []}
        self.bookings: list[dict[str, str]] = []
        self.lock = Lock()
        self.answers: dict[str, tuple[int, dict[str, object]]] = {}
        """By idempotency key."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: BookingServer

    def do_GET(self) -> None:
        """Lists free times."""
        url = urlsplit(self.path)
        day = parse_qs(url.query).get("day", [""])[0].lower()
        if url.path != "/slots" or day not in self.server.free:
            self._answer(404, {"error": "no such day"})
            return
        self._answer(200, {"day": day, "free": self.server.free[day]})

    def do_POST(self) -> None:
        """Books."""
        length = int(self.headers.get("Content-Length", 0))
        try:
            wish = json.loads(self.rfile.read(length))
            day, time, name = wish["day"].lower(), wish["time"], wish["name"]
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answer(400, {"error": "expected day, time and name"})
            return
        key = self.headers.get("Idempotency-Key", "")
        with self.server.lock:
            if key not in self.server.answers:
                answer = self._book(day, time, name)
                if key:
                    self.server.answers[key] = answer
            else:
                answer = self.server.answers[key]
        self._answer(*answer)

    def _book(self, day: str, time: str, name: str) -> tuple[int, dict[str, object]]:
        if time not in self.server.free.get(day, []):
            return 409, {"error": "not free"}
        self.server.free[day].remove(time)
        self.server.bookings.append({"day": day, "time": time, "name": name})
        return 201, {"number": len(self.server.bookings), "day": day, "time": time}

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: callers' names are nobody's business."""


if __name__ == "__main__":
    with BookingServer(int(sys.argv[1]) if len(sys.argv) > 1 else 8055) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("closed")
