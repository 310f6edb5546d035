"""A real Prometheus scrapes a running engine: numbers, rules and dashboard fit each other, and nobody is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.video.decoding.image_io import read_image
from tests.cli.command import PYLFR
from tests.deployment_text import PLAIN_LOG, deployment_text, permit_text
from tests.docs.page import DOCS, ROOT
from tests.footage import MAN, save_references, video
from tests.service.stand import free_port

DEPLOY = ROOT / "deploy"
NAME = "Zacharias Unmistakable"
PATIENCE_S = 60.0


@pytest.fixture
def engine(media_dir: Path, models_dir: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running engine's numbers, and the file that its output goes to."""
    references = save_references(media_dir, tmp_path)
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(tmp_path / "square.watchlist", embedder) as watchlist:
        watchlist.enrol(NAME, read_image(references["man"][0]), detector=open_detector("yunet_n"), embedder=embedder)
    port = free_port()
    text = deployment_text(
        permit_text(officer="Officer Nemo"),
        PLAIN_LOG,
        f"[monitoring]\nport = {port}\n",
        cameras={"north": video(media_dir, MAN)},
        loop=True,
    )
    (tmp_path / "deployment.toml").write_text(text)
    log = tmp_path / "stderr"
    with log.open("w") as err:
        process = subprocess.Popen(
            [str(PYLFR), "--log-level", "debug", "--log-format", "json", "run", str(tmp_path / "deployment.toml")],
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
    try:
        yield f"127.0.0.1:{port}", log
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.2)


def query(prometheus: str, expression: str) -> list[dict[str, object]]:
    status, body = get(f"http://{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    assert status == 200, (expression, body)
    result: list[dict[str, object]] = json.loads(body)["data"]["result"]
    return result


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/pylfr.json").read_text())
    return [target["expr"].replace("$instance", ".*") for each in dashboard["panels"] for target in each["targets"]]


def test_the_rules_are_valid() -> None:
    promtool = shutil.which("promtool") or pytest.skip("promtool is not installed (Debian's package prometheus)")
    done = subprocess.run(
        [promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_every_metric_that_is_watched_is_explained() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    text = "\n".join((*dashboard_expressions(), (DEPLOY / "prometheus/rules.yml").read_text()))
    watched = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bpylfr_\w+", text)}
    assert len(watched) > 12
    assert sorted(name for name in watched if f"`{name}`" not in page) == []


def test_prometheus_scrapes_a_running_engine_and_nothing_names_a_person(
    engine: tuple[str, Path], tmp_path: Path
) -> None:
    program = shutil.which("prometheus") or pytest.skip("prometheus is not installed (Debian's package prometheus)")
    address, log = engine
    wait_for(lambda: get(f"http://{address}/readyz")[0] == 200, "the engine did not become ready")
    assert get(f"http://{address}/healthz") == (200, "alive\n")
    assert get(f"http://{address}/")[0] == 404
    _, numbers = get(f"http://{address}/metrics")
    port = free_port()
    config = (DEPLOY / "prometheus/prometheus.yml").read_text()
    config = config.replace("15s", "1s").replace("127.0.0.1:9464", address)
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(DEPLOY / "prometheus/rules.yml", tmp_path)
    with subprocess.Popen(
        [
            program, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "GOMAXPROCS": "1"},
    ) as server:  # fmt: skip
        try:
            prometheus = f"127.0.0.1:{port}"
            wait_for(lambda: get(f"http://{prometheus}/-/ready")[0] == 200, "Prometheus did not start")
            wait_for(lambda: bool(query(prometheus, "pylfr_alerts_total > 0")), "no alert was counted")
            wait_for(lambda: bool(query(prometheus, "rate(pylfr_frames_total[30s]) > 0")), "frames are not counted on")
            assert query(prometheus, 'pylfr_capture_to_alert_seconds_count{job="pylfr"} > 0')
            for expression in dashboard_expressions():
                query(prometheus, expression)
            _, rules = get(f"http://{prometheus}/api/v1/rules")
            found = [rule for group in json.loads(rules)["data"]["groups"] for rule in group["rules"]]
            assert len(found) == (DEPLOY / "prometheus/rules.yml").read_text().count("- alert:")
            for rule in found:
                query(prometheus, rule["query"])
            assert {rule["health"] for rule in found} <= {"ok", "unknown"}
        finally:
            server.terminate()
    _, numbers = get(f"http://{address}/metrics")
    assert 'pylfr_alerts_total{camera="north"}' in numbers
    for word in (*NAME.split(), "Nemo"):
        assert word not in numbers
    lines = log.read_text()
    logged = [json.loads(line) for line in lines.splitlines() if line.startswith('{"at"')]
    assert any(each.get("camera") == "north" for each in logged)
    for each in logged:
        assert "Zacharias" not in json.dumps(each)
