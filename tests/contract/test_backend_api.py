"""The API against its own description: no call makes a server error, whatever it sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from starlette.testclient import TestClient

from flow_backend.app import create_app
from flow_backend.llm.scripted import ScriptedProvider
from flow_backend.settings import BackendSettings
from tests.integration.backend_server import OneModel


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("api")
    app = create_app(
        BackendSettings(_env_file=None, database_url=f"sqlite:///{folder}/api.db"),
        models=OneModel(ScriptedProvider(["Yes."])),
    )
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


schema = schemathesis.pytest.from_fixture("api").include(path_regex="^/api/flows")


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(120)
def test_no_call_makes_a_server_error(case: Any) -> None:
    response = case.call()
    not_a_server_error(None, response, case)
    if response.status_code >= 400:
        assert {"code", "message", "retryable"} <= set(response.json())
