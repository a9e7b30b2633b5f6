"""wyoming-piper: its server, asked over its socket."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

from measure import Speak, free_port, measure, serve


def _open(job: dict[str, str]) -> tuple[Speak, list[int]]:
    model = Path(job["model"])
    port = free_port()
    server = serve(
        [
            *("wyoming_piper", "--uri", f"tcp://127.0.0.1:{port}"),
            *("--voice", model.stem, "--data-dir", str(model.parent)),
        ],
        port,
    )

    def speak(text: str) -> Iterator[bytes]:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            stream = connection.makefile("rwb")
            stream.write(json.dumps({"type": "synthesize", "data": {"text": text}}).encode())
            stream.write(b"\n")
            stream.flush()
            while line := stream.readline():
                event = json.loads(line)
                stream.read(event.get("data_length") or 0)
                payload = stream.read(event.get("payload_length") or 0)
                if event["type"] == "audio-chunk":
                    yield payload
                if event["type"] == "audio-stop":
                    return

    return speak, [server]


measure(_open)
