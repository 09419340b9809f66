"""What is deployed hangs together: the files parse, and every metric, path, port and setting in them exists."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy import __version__
from proxy.base.config import Settings
from proxy.base.metrics import FAMILIES, REGISTRY

ROOT = Path(__file__).parents[3]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/crossfade.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
PROVISIONING = ROOT / "deploy/grafana/provisioning"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def known_metrics() -> set[str]:
    """Every series name that /metrics can show."""
    names = set()
    for family in REGISTRY.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def known_labels() -> dict[str, set[str]]:
    """The labels of every family, by its name: our own as described, those of the process as a scrape has them."""
    labels = {name: set(family.labels) for name, family in FAMILIES.items()}
    for family in REGISTRY.collect():
        if family.name not in labels:
            labels[family.name] = {label for sample in family.samples for label in sample.labels}
    return labels


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def used(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:crossfade|process|python)_[a-z_]+", expression))


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_every_metric_in_use_exists(title: str, expression: str) -> None:
    assert used(expression) <= known_metrics(), title
    assert used(expression)


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_what_is_grouped_by_is_a_label_of_the_metric(title: str, expression: str) -> None:
    families = [labels for base, labels in known_labels().items() if any(n.startswith(base) for n in used(expression))]
    given = {"le", "instance"}.union(*families)
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= given, title
    for label in re.findall(r"[{,]\s*([a-z_]+)\s*=", expression):
        assert label in given | {"job"}, title


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_brackets_of_expressions_are_closed(title: str, expression: str) -> None:
    closing, waiting = {")": "(", "}": "{", "]": "["}, []
    for character in re.sub(r'"[^"]*"', "", expression):
        if character in "({[":
            waiting.append(character)
        elif character in closing:
            assert waiting.pop() == closing[character], title
    assert not waiting, title


def test_the_dashboard_shows_what_a_migration_is_steered_by() -> None:
    shown = set().union(*(used(target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]))
    assert {
        "crossfade_stage",
        "crossfade_mismatch_rate",
        "crossfade_mirror_lag_seconds",
        "crossfade_requests_total",
        "crossfade_request_duration_seconds_bucket",
        "crossfade_journal_open_intents",
        "crossfade_read_lease_held",
    } <= shown


def test_every_metric_is_shown_somewhere() -> None:
    shown = set().union(*(used(expression) for _, expression in expressions()))
    families = {name: {n for n in known_metrics() if n.startswith(name)} for name in FAMILIES}
    assert [name for name, series in families.items() if not series & shown] == []


def test_every_metric_of_ours_is_described() -> None:
    collected = {family.name: family for family in REGISTRY.collect() if family.name.startswith("crossfade_")}
    assert collected.keys() == FAMILIES.keys()
    for name, family in FAMILIES.items():
        assert (collected[name].type, collected[name].documentation) == (family.kind, family.text)
        assert all(set(sample.labels) <= {*family.labels, "le"} for sample in collected[name].samples)


def test_the_process_itself_is_measured() -> None:
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= known_metrics()
    assert {"python_info", "python_gc_collections_total"} <= known_metrics()
    assert REGISTRY.get_sample_value("crossfade_build_info", {"version": __version__}) == 1


def test_panels_lie_on_the_grid_without_overlapping() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/crossfade.yml").read_text())["providers"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    mounted = {volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounted
    host, port = re.fullmatch(r"http://([a-z]+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
    assert host in COMPOSE["services"]
    assert port == "9090"


def test_prometheus_scrapes_the_proxy_where_it_listens() -> None:
    told = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (target,) = told["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"proxy:{Settings.model_fields['admin_port'].default}"
    assert COMPOSE["services"]["proxy"]["environment"]["CROSSFADE_ADMIN_HOST"] == "0.0.0.0"
    assert all((ROOT / "deploy/prometheus" / file).exists() for file in told["rule_files"])


@pytest.mark.parametrize("rule", [r for g in ALERTS["groups"] for r in g["rules"]], ids=lambda rule: rule["alert"])
def test_an_alert_has_a_summary_and_leads_to_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"]
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def settings_in(environment: dict[str, Any]) -> set[str]:
    return {name.removeprefix("CROSSFADE_").lower() for name in environment if name.startswith("CROSSFADE_")}


def test_compose_runs_the_real_servers_and_every_part() -> None:
    services = COMPOSE["services"]
    assert services["arangodb"]["image"].startswith("arangodb:3.12")
    assert services["postgres"]["image"].startswith("postgres:17")
    assert services["proxy"]["command"] == ["proxy", "run"]
    assert services["backfill"]["command"] == ["backfill", "worker", "--daemon"]
    assert {"prometheus", "grafana", "migrate"} <= services.keys()


def test_compose_refers_only_to_what_it_has() -> None:
    for name, service in COMPOSE["services"].items():
        depends = service.get("depends_on", {})
        assert set(depends) <= COMPOSE["services"].keys(), name
        for other, condition in depends.items() if isinstance(depends, dict) else ():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE["services"][other], name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert settings_in(service.get("environment", {})) <= Settings.model_fields.keys(), name


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, arguments) of each logical line."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_the_image_fetches_nothing_that_is_not_pinned_by_hash() -> None:
    for name, arguments in dockerfile():
        if name == "RUN" and "pip " in arguments:
            options = set(arguments.split())
            assert "--no-deps" in options, arguments
            assert options & {"--require-hashes", "--no-index"}, arguments
    for file in ("run", "build", "dev"):
        text = (ROOT / f"requirements/{file}.txt").read_text()
        assert "--index-url" not in text
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text):
            assert "--hash=sha256:" in requirement, requirement


def test_the_dockerfile_is_one_and_copies_what_there_is() -> None:
    instructions = dockerfile()
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= {
        "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, arguments in instructions:
        if name == "COPY" and not arguments.startswith("--from="):
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, pattern) for pattern in let_through), source
        if name in ("ENTRYPOINT", "CMD", "VOLUME"):
            assert isinstance(json.loads(arguments), list)


def test_the_image_pins_what_it_installs_and_does_not_run_as_root() -> None:
    instructions = dockerfile()
    runs = [arguments for name, arguments in instructions if name == "RUN"]
    assert any("--require-hashes --no-deps -r requirements/run.txt" in run for run in runs)
    (user,) = [arguments for name, arguments in instructions if name == "USER"]
    assert int(user) > 0
    assert [name for name, _ in instructions].index("USER") < [name for name, _ in instructions].index("ENTRYPOINT")
    environment = dict(
        pair.split("=", 1) for name, arguments in instructions if name == "ENV" for pair in arguments.split()
    )
    assert settings_in(environment) <= Settings.model_fields.keys()
    exposed = {int(port) for name, arguments in instructions if name == "EXPOSE" for port in arguments.split()}
    assert exposed == {Settings.model_fields[name].default for name in ("listen_port", "admin_port")}


def test_the_image_holds_every_package_of_the_distribution() -> None:
    copied = {a.split()[0] for name, a in dockerfile() if name == "COPY"}
    assert {"proxy", "backfill", "sql", "deploy"} <= copied


KUBERNETES = {
    file.name: list(yaml.safe_load_all(file.read_text()))
    for file in sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for documents in KUBERNETES.values():
        for document in documents:
            if "template" in document.get("spec", {}):
                yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_the_sidecar_example_is_kubernetes_and_keeps_its_journal() -> None:
    documents = KUBERNETES["sidecar.yaml"]
    kinds = {document["kind"]: document for document in documents}
    assert all({"apiVersion", "kind", "metadata"} <= one.keys() for file in KUBERNETES.values() for one in file)
    (secret,) = [one for one in KUBERNETES["control.yaml"] if one["kind"] == "Secret"]
    assert settings_in(secret["stringData"]) <= Settings.model_fields.keys()
    pod = kinds["StatefulSet"]["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]  # nothing before it: what waits for PostgreSQL keeps a healthy service down
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("crossfade", "Always")
    assert settings_in({entry["name"]: 0 for entry in sidecar["env"]}) <= Settings.model_fields.keys()
    claims = {claim["metadata"]["name"] for claim in kinds["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in sidecar["volumeMounts"]} <= claims
    (service,) = pod["containers"]
    assert {"name": "ARANGO_URL", "value": "http://127.0.0.1:8530"} in service["env"]


def test_what_operators_need_is_deployed_beside() -> None:
    """A migration that is no part of the services' pods, a worker that watches, a pod to type commands in."""
    given = {document["metadata"]["name"]: document for document in KUBERNETES["control.yaml"]}
    assert given["crossfade-migrate"]["kind"] == "Job"
    calls = {one["name"]: one.get("args", one.get("command")) for _, pod in pods() for one in containers(pod)}
    assert calls["migrate"] == ["migrate"]
    assert calls["worker"] == ["backfill", "worker", "--daemon"]
    assert calls["cli"] == ["sleep", "infinity"]


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=lambda value: value if isinstance(value, str) else "")
def test_pods_keep_to_pod_security_restricted(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for one in containers(pod):
        context = one["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        if one["name"] == "service":
            continue
        assert (context["runAsUser"], context["readOnlyRootFilesystem"]) == (10001, True)
        assert re.fullmatch(r".+/crossfade:\d+\.\d+\.\d+", one["image"]), "a registry and a version"
        assert one["envFrom"] == [{"secretRef": {"name": "crossfade"}}]
        assert one["resources"]["limits"]["memory"]


def test_probes_ask_what_there_is() -> None:
    (sidecar,) = next(pod for name, pod in pods() if name == "resume-service")["initContainers"]
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = sidecar[probe]["httpGet"]
        assert ports[asked["port"]] == Settings.model_fields["admin_port"].default
        assert asked["path"] in {"/readyz", "/healthz"}


def test_a_proxy_in_a_pod_is_reached_by_its_address() -> None:
    """Pods do not resolve each other's names; the command line asks every proxy itself."""
    (sidecar,) = next(pod for name, pod in pods() if name == "resume-service")["initContainers"]
    (advertised,) = [one for one in sidecar["env"] if one["name"] == "CROSSFADE_ADMIN_ADVERTISE"]
    assert advertised["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
