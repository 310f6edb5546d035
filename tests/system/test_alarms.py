"""Each of the shipped alarms rings when it should, names what it is about, and is silent when all is well."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.docs.page import ROOT

RULES = ROOT / "deploy/prometheus/rules.yml"
# Longer than any alarm waits.
LATER = "40m"
HALL = {"instance": "hall", "job": "pylfr"}
# How many numbers a series has: 50 minutes of them.
STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Numbers every 15 s, as promtool writes them (``1+2x9``: nine times two more), when it rings and when not.

    ``labels`` are those of the alarm besides its severity, ``value`` what it says.
    """

    rings: dict[str, str]
    silent: dict[str, str]
    labels: dict[str, str] = field(default_factory=lambda: dict(HALL))
    value: str = ""


def series(name: str, **labels: str) -> str:
    """The name of a series of the instance."""
    told = ",".join(f'{key}="{value}"' for key, value in (HALL | labels).items())
    return f"{name}{{{told}}}"


def gauge(name: str, rings: float, silent: float, *, value: str = "", **labels: str) -> Alarm:
    """An alarm of one number."""
    return Alarm(
        rings={series(name, **labels): f"{rings}x{STEPS}"},
        silent={series(name, **labels): f"{silent}x{STEPS}"},
        labels=HALL | labels,
        value=value,
    )


def growing(name: str, **labels: str) -> Alarm:
    """An alarm of a count that should not grow."""
    return Alarm(
        rings={series(name, **labels): f"0+1x{STEPS}"},
        silent={series(name, **labels): f"3x{STEPS}"},
        labels=HALL | labels,
    )


def latency(*, late: bool) -> dict[str, str]:
    name = "pylfr_capture_to_alert_seconds_bucket"
    counts = {"1": "0+1x200" if not late else "0x200", "2.5": "0+1x200", "+Inf": "0+1x200"}
    return {series(name, le=bound): values for bound, values in counts.items()}


def dropped(share: float) -> dict[str, str]:
    return {
        series("pylfr_frames_dropped_total", camera="north", cause="superseded"): f"0+{share}x{STEPS}",
        series("pylfr_frames_analysed_total", camera="north"): f"0+100x{STEPS}",
    }


def uncompared(share: float) -> dict[str, str]:
    return {
        series("pylfr_faces_dropped_total", cause="not_compared_budget"): f"0+{share}x{STEPS}",
        series("pylfr_comparisons_total"): f"0+100x{STEPS}",
    }


def ends_in(seconds: int) -> dict[str, str]:
    at = 40 * 60 + seconds
    return {
        series("pylfr_authorisation_end_timestamp_seconds"): f"{at}x{STEPS}",
        series("pylfr_engine_running"): f"1x{STEPS}",
    }


OF_INSTANCE = {"instance": "hall"}
TO_RECORDS = {"sink": "records", "to": "the records"}
ALARMS = {
    "PylfrDown": gauge("up", 0, 1),
    "PylfrEngineStopped": gauge("pylfr_engine_running", 0, 1),
    "PylfrCameraDown": gauge("pylfr_camera_up", 0, 1, camera="north"),
    "PylfrAlertsLate": Alarm(rings=latency(late=True), silent=latency(late=False), labels=OF_INSTANCE),
    "PylfrOverloaded": Alarm(rings=dropped(40), silent=dropped(10), labels=OF_INSTANCE),
    "PylfrFacesNotCompared": Alarm(rings=uncompared(60), silent=uncompared(40), labels=OF_INSTANCE),
    "PylfrAlertsUndelivered": growing("pylfr_alerts_undelivered_total"),
    "PylfrOutboxBehind": gauge("pylfr_outbox_age_seconds", 90, 30, **TO_RECORDS),
    "PylfrAlertsExpired": growing("pylfr_outbox_expired_total", **TO_RECORDS),
    "PylfrNodeOutboxBehind": gauge("pylfr_cluster_node_alerts_waiting", 3, 0, value="3", node="east"),
    "PylfrCheckpointReceiverAway": gauge("pylfr_checkpoint_receiver_up", 0, 1),
    "PylfrAuthorisationEnds": Alarm(rings=ends_in(600), silent=ends_in(7200)),
    "PylfrTemplatesSwappable": gauge("pylfr_template_memory_locked", 0, 1),
    "PylfrCamerasWithoutRoom": gauge("pylfr_cluster_cameras_unplaced", 2, 0, value="2"),
    "PylfrNodeBehind": gauge("pylfr_cluster_node_watchlist_newest", 0, 1, node="east"),
}


def rules() -> dict[str, dict[str, object]]:
    """Every alarm of the shipped rules, by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def summary(rule: dict[str, object], alarm: Alarm) -> str:
    """What the alarm says of these labels and this value."""
    annotations = rule["annotations"]
    assert isinstance(annotations, dict)
    text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: alarm.labels[found[1]], str(annotations["summary"]))
    return text.replace("{{ $value }}", alarm.value)


def case(name: str, rule: dict[str, object], alarm: Alarm, *, rings: bool) -> dict[str, object]:
    """One case of promtool's."""
    labels = rule["labels"]
    assert isinstance(labels, dict)
    expected = [{"exp_labels": alarm.labels | labels, "exp_annotations": {"summary": summary(rule, alarm)}}]
    return {
        "interval": "15s",
        "input_series": [
            {"series": each, "values": values} for each, values in (alarm.rings if rings else alarm.silent).items()
        ],
        "alert_rule_test": [{"eval_time": LATER, "alertname": name, "exp_alerts": expected if rings else []}],
    }


def test_every_alarm_rings_when_it_should_and_at_no_other_time(tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or pytest.skip("promtool is not installed (Debian's package prometheus)")
    found = rules()
    assert set(found) == set(ALARMS), "each rule has its case here"
    cases = [case(name, found[name], alarm, rings=rings) for name, alarm in ALARMS.items() for rings in (True, False)]
    shutil.copy(RULES, tmp_path)
    # JSON is YAML.
    (tmp_path / "cases.yml").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": cases})
    )
    done = subprocess.run(
        [promtool, "test", "rules", "cases.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
