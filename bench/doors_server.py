"""The backend that `bench.doors` asks: scripted answers, the real voice, a process of its own."""

from __future__ import annotations

import socket
import sys
import tempfile

import uvicorn

from flow_backend.app import create_app
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.settings import BackendSettings

ANSWER = (
    "The tides follow the moon. High water comes about twice a day, and a little later each time. "
    "The sun helps too, but much less than the moon does."
)
TOKEN_S = 0.01
"""Between two words of the answer."""


class OneModel:
    """The scripted model under every name."""

    def __init__(self) -> None:
        self._provider = ScriptedProvider(
            [
                Reply(purpose="corrections", times=None, data={"corrections": []}),
                Reply(purpose="vocabulary", times=None, data={"words": []}),
                Reply(say=ANSWER, times=None, delay_s=TOKEN_S),
            ]
        )

    async def get(self, reference: str = "default") -> LLMProvider:
        """The one model there is."""
        return self._provider


def main() -> None:
    """`python -m bench.doors_server CACHE_MB`: prints its port, then serves."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = BackendSettings(
            database_url=f"sqlite:///{folder}/parley.db",
            host="127.0.0.1",
            api_keys="auto",
            door_rate_limit="",
            address_concurrency=0,
            max_sockets=1_000,
            audio_cache_mb=int(sys.argv[1]),
        )
        app = create_app(settings, models=OneModel())
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, ws_per_message_deflate=False)
        )
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
