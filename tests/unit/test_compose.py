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
