"""The API against its own description: no call makes a server error, whatever it sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
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


@pytest.mark.timeout(240)
def test_no_call_makes_a_server_error(api: Any) -> None:
    tried = 0
    for result in api.include(path_regex="^/api/flows").get_all_operations():
        operation = result.ok()
        tried += 1

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            response = case.call()
            assert response.status_code < 500, response.text
            if response.status_code >= 400:
                assert {"code", "message", "retryable"} <= set(response.json())

        check()
    assert tried >= 15
