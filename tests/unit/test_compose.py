from __future__ import annotations

from typing import Any

import yaml

from tests.unit.test_settings_pages import ROOT, every_variable

SERVICES = {"livekit", "redis", "postgres", "llm", "backend", "worker"}


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_every_part_has_a_health_check_and_is_waited_for_by_it() -> None:
    services = compose()["services"]
    assert set(services) == SERVICES
    for service in services.values():
        assert service["healthcheck"]["test"]
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert condition == {"condition": "service_healthy"}


def test_volumes_are_named() -> None:
    document = compose()
    used = {
        mount.partition(":")[0]
        for service in document["services"].values()
        for mount in service.get("volumes", [])
    }
    assert used == set(document["volumes"])


def test_our_parts_are_given_settings_that_they_have() -> None:
    services = compose()["services"]
    given = {
        name for part in ("llm", "backend", "worker") for name in services[part]["environment"]
    }
    assert given - every_variable() - {"DATABASE_URL"} == set()


def test_the_language_model_takes_its_settings_and_the_models_of_the_volume() -> None:
    llm = compose()["services"]["llm"]
    given = llm["environment"]
    assert llm["volumes"] == ["models:/models:ro"]
    for name in ("LLM_MODEL_PATH", "LLM_CONTEXT_TOKENS", "LLM_PARALLEL", "LLM_THREADS"):
        assert given[name] == f"${{{name}:-}}"


def test_the_backend_uses_the_redis_that_is_there() -> None:
    backend = compose()["services"]["backend"]
    assert backend["environment"]["REDIS_URL"].startswith("redis://redis:")
    assert "redis" in backend["depends_on"]


def test_the_image_is_built_from_what_the_context_holds_and_with_the_page() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert {source.partition("/")[0] for source in copied} == allowed
    for source in copied:
        assert (ROOT / source).exists(), source
    assert "RUN npm run build" in lines
    assert "COPY --from=page /app/flow_backend/page ./flow_backend/page" in lines
