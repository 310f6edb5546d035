"""The image, the compose file and the Kubernetes example: valid, confined, and true to what pylfr is called today."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import yaml

from pylfr.cluster.engine_slots import CAMERAS, FOLDER
from tests.docs.page import ROOT

CONTAINER = ROOT / "deploy" / "container"
COMPOSE = CONTAINER / "compose.yaml"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()
CLUSTER = (ROOT / "deploy" / "kubernetes" / "cluster.yaml").read_text()
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
# What the operator puts beside the compose file.
OPERATORS = {"./etc", "./prometheus.token"}


def test_the_compose_file_is_one_by_its_specification() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_confined_and_what_it_mounts_is_there() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services) >= {"engine", "records", "broker", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for mount in service.get("volumes", ()):
            source = str(mount).partition(":")[0]
            if source.startswith(".") and source not in OPERATORS:
                assert (CONTAINER / source).exists(), (name, source)
    assert services["engine"]["ulimits"]["core"] == 0


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    named = re.findall(r"EXTRAS=([\w,-]+)", DOCKERFILE + CLUSTER)
    assert len(named) >= 3
    assert {extra for each in named for extra in each.split(",")} <= EXTRAS
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER pylfr$", last_stage, flags=re.MULTILINE)


def test_the_kubernetes_example_names_the_resources_of_today_and_is_confined() -> None:
    spec = yaml.safe_load(CLUSTER)["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        confined = container["securityContext"]
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["readOnlyRootFilesystem"] is True
        mounted = {each["name"] for each in container["volumeMounts"]}
        assert mounted == {each["name"] for each in pod["volumes"]}
    for group in spec["workerGroupSpecs"]:
        # KubeRay takes the JSON of a resource inside quotes of a shell.
        assert set(json.loads(json.loads(group["rayStartParams"]["resources"]))) == {CAMERAS}
        (container,) = group["template"]["spec"]["containers"]
        assert FOLDER in {each["name"] for each in container["env"]}
