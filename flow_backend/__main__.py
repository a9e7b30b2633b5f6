"""`python -m flow_backend`: serves the backend on BACKEND_HOST and BACKEND_PORT."""

from __future__ import annotations

import asyncio
import sys

import uvicorn

from flow_backend.access.keys import Keyring
from flow_backend.app import create_app
from flow_backend.server import CLOSING_S, SERVER_OPTIONS, DrainingServer, in_a_sentence
from flow_backend.settings import BackendSettings
from flow_backend.store.database import open_database
from flow_backend.store.keys import KeyStore
from protocol import logs
from protocol.errors import ConfigError
from protocol.settings import load_settings


def main() -> int:
    """Serves until a signal; gives the exit code."""
    try:
        settings = load_settings(BackendSettings)
        if settings.keys_required:
            asyncio.run(_require_key(settings))
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    logs.set_up(settings.log_level, settings.log_format)
    app = create_app(settings)
    config = uvicorn.Config(
        in_a_sentence(app),
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=CLOSING_S,
        forwarded_allow_ips=settings.trusted_proxies,
        **SERVER_OPTIONS,
    )
    server = DrainingServer(config, app.state.admission, settings.backend_drain_s)
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that the start has failed
        if app.state.start_error is None:
            raise
        sys.stderr.write(f"{app.state.start_error.message}\n")
        return 2
    return 0 if server.started else 3


async def _require_key(settings: BackendSettings) -> None:
    """Refuses before the server starts, in a sentence instead of the server's stack trace."""
    database = await open_database(settings.database_url)
    try:
        await Keyring(KeyStore(database), settings.parley_api_key).require_any(settings.host)
    finally:
        await database.dispose()


if __name__ == "__main__":
    sys.exit(main())
