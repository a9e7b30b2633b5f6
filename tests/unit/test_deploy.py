"""What is described for more than one machine, against the settings and parts that there are."""

from __future__ import annotations

import copy
import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from flow_backend.server import CLOSING_S
from flow_backend.settings import BackendSettings
from tests.unit.test_compose import compose
from tests.unit.test_settings_pages import ROOT, every_variable

SECRET = {
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "DATABASE_URL",
    "REDIS_URL",
    "PARLEY_API_KEY",
}


class _Compose(yaml.SafeLoader):
    """Knows compose's `!override`."""


_Compose.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def scaled() -> dict[str, Any]:
    text = (ROOT / "docker-compose.scale.yml").read_text()
    document: dict[str, Any] = yaml.load(text, _Compose)
    return document


def manifests() -> list[dict[str, Any]]:
    text = (ROOT / "deploy/kubernetes/parley.yaml").read_text()
    return list(yaml.safe_load_all(text))


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in manifests() if m["kind"] == kind}


def test_the_second_livekit_node_differs_from_the_first_in_its_ports_alone() -> None:
    first = yaml.safe_load(compose()["services"]["livekit"]["environment"]["LIVEKIT_CONFIG"])
    second = yaml.safe_load(scaled()["services"]["livekit-2"]["environment"]["LIVEKIT_CONFIG"])
    assert first["redis"] == second["redis"]
    assert first["keys"] == second["keys"]
    media = [{first["rtc"][name], second["rtc"][name]} for name in ("tcp_port", "udp_port")]
    assert all(len(ports) == 2 for ports in media)
    published = " ".join(scaled()["services"]["livekit-2"]["ports"])
    for name in ("tcp_port", "udp_port"):
        assert f":{second['rtc'][name]}" in published


def test_more_than_one_backend_shares_a_port_by_the_proxy_alone() -> None:
    services = scaled()["services"]
    assert services["backend"]["deploy"]["replicas"] > 1
    assert services["backend"]["ports"] == []
    assert services["worker"]["environment"]["BACKEND_URL"] == "http://proxy:8000"
    (mount,) = services["proxy"]["volumes"]
    nginx = (ROOT / mount.partition(":")[0]).read_text()
    assert "server backend:8000 resolve" in nginx
    assert "proxy_buffering off" in nginx


def test_manifests_use_settings_that_there_are() -> None:
    given = set(of_kind("ConfigMap")["parley"]["data"]) | SECRET
    for deployment in of_kind("Deployment").values():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            given |= {entry["name"] for entry in container.get("env", [])}
    assert given - every_variable() == set()


SCHEMAS = ROOT / "tests" / "unit" / "kubernetes"


def wrong(manifest: dict[str, Any]) -> Iterator[str]:
    """What Kubernetes would refuse."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    names = (manifest["kind"].lower(), group.partition(".")[0], version)
    schema = json.loads((SCHEMAS / f"{'-'.join(filter(None, names))}.json").read_text())
    for error in Draft202012Validator(schema).iter_errors(manifest):
        yield f"{error.json_path}: {error.message}"


def test_manifests_fit_kubernetes_own_schemas() -> None:
    for manifest in manifests():
        assert list(wrong(manifest)) == [], manifest["metadata"]["name"]


def test_a_misspelt_field_and_a_wrong_type_are_seen() -> None:
    manifest = copy.deepcopy(of_kind("Deployment")["worker"])
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["readinessProbe"]["periodSecond"] = 5
    manifest["spec"]["replicas"] = "two"
    assert [problem.partition(":")[0] for problem in wrong(manifest)] == [
        "$.spec.replicas",
        "$.spec.template.spec.containers[0].readinessProbe",
    ]


def test_kubeconform_finds_nothing() -> None:
    if (program := shutil.which("kubeconform")) is None:
        pytest.skip("kubeconform is not installed")
    done = subprocess.run(
        [
            *(program, "-strict", "-summary", "-kubernetes-version", "1.34.0"),
            *("-schema-location", f"{SCHEMAS}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"),
            str(ROOT / "deploy/kubernetes/parley.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout


def test_services_and_probes_meet_the_containers() -> None:
    deployments = of_kind("Deployment")
    for name, service in of_kind("Service").items():
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
    for deployment in deployments.values():
        assert (
            deployment["spec"]["selector"]["matchLabels"]
            == deployment["spec"]["template"]["metadata"]["labels"]
        )
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        probes = [probe for key, probe in container.items() if key.endswith("Probe")]
        assert probes
        assert {probe["httpGet"]["port"] for probe in probes} <= ports


def test_a_backend_behind_the_proxy_counts_callers_and_not_the_proxy() -> None:
    trusted = scaled()["services"]["backend"]["environment"]["TRUSTED_PROXIES"]
    networks = [ipaddress.ip_network(network) for network in trusted.split(",")]
    assert all(network.is_private for network in networks)
    nginx = (ROOT / "deploy/nginx.conf").read_text()
    # What the client itself says is not passed on: it could choose its address.
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in nginx


def test_pods_may_run_where_the_restricted_pod_security_standard_holds() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for deployment in of_kind("Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_one_of_each_part_of_which_there_are_several_stays() -> None:
    budgets = of_kind("PodDisruptionBudget")
    for name, deployment in of_kind("Deployment").items():
        if deployment["spec"]["replicas"] > 1:
            labels = deployment["spec"]["template"]["metadata"]["labels"]
            assert budgets[name]["spec"]["selector"]["matchLabels"] == labels


def test_only_what_answers_without_a_key_is_annotated_for_scraping() -> None:
    annotated = {
        name
        for name, deployment in of_kind("Deployment").items()
        if "annotations" in deployment["spec"]["template"]["metadata"]
    }
    assert annotated == {"worker"}


def test_pods_get_the_time_that_they_need_to_stop() -> None:
    worker = of_kind("Deployment")["worker"]["spec"]["template"]["spec"]
    drain = next(e["value"] for e in worker["containers"][0]["env"] if e["name"] == "DRAIN_S")
    assert worker["terminationGracePeriodSeconds"] >= float(drain) + 60
    backend = of_kind("Deployment")["backend"]["spec"]["template"]["spec"]
    drain_s = BackendSettings.model_fields["backend_drain_s"].default
    assert backend["terminationGracePeriodSeconds"] > 5 + drain_s + CLOSING_S


def test_a_worker_that_drains_is_unready_and_alive() -> None:
    (container,) = of_kind("Deployment")["worker"]["spec"]["template"]["spec"]["containers"]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")
    }
    assert paths == {"liveness": "/healthz", "readiness": "/readyz"}
    environment = of_kind("ConfigMap")["parley"]["data"]
    assert environment["WORKER_HOST"] == "0.0.0.0"


def test_a_replaced_worker_may_let_its_calls_end() -> None:
    spec = of_kind("Deployment")["worker"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    drain_s = float(next(e["value"] for e in container["env"] if e["name"] == "DRAIN_S"))
    assert spec["terminationGracePeriodSeconds"] > drain_s
