"""What people do to a run from its pages: watch cameras, take one out, ask for more, enrol, stop; all recorded."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from pylfr.faces.detect import open_detector
from pylfr.types import Frame
from tests.service.running import Running, footage, running, wait_for


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory, media_dir: Path, models_dir: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("square")
    with running(folder, footage(media_dir, folder)) as made:
        yield made


def picture(answer: httpx.Response) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_cameras_say_rate_latency_and_what_was_dropped_by_cause(square: Running) -> None:
    dee = square.client("Dee")
    north, south = dee.get("/v1/cameras").json()
    assert (north["name"], south["name"]) == ("north", "south")
    assert north["since"] is not None
    assert north["frames"] > 0
    assert north["frames_hz"] > 0
    assert north["latency_p50_ms"] <= north["latency_p99_ms"]
    assert isinstance(north["dropped"], dict)


def test_a_preview_shows_no_face_and_that_somebody_looks_is_recorded_first(square: Running) -> None:
    ann = square.client("Ann")
    path = "/v1/cameras/south/preview"
    assert ann.get(path).status_code == 409
    before = square.kinds().count("preview-opened")
    assert ann.post(path).status_code == 204
    wait_for(lambda: ann.get(path).status_code == 200)
    assert square.kinds().count("preview-opened") == before + 1
    detector = open_detector("yunet_n")
    seen = {}
    # The one and the other face come and go: over some pictures at least one is there, and none is to be seen.
    for _ in range(3):
        answer = ann.get(path)
        assert answer.headers["cache-control"] == "no-store"
        seen[answer.headers["x-captured-at"]] = picture(answer)
        wait_for(lambda: ann.get(path).headers["x-captured-at"] not in seen)
    filled = 0
    for shown in seen.values():
        assert len(detector.detect([Frame.still(np.ascontiguousarray(shown))])) == 0
        filled += int(np.count_nonzero((abs(shown.astype(int) - 96) <= 3).all(axis=2)) > 400)
    assert filled == len(seen)
    assert ann.delete(path).status_code == 204
    assert ann.get(path).status_code == 409


def test_a_preview_is_for_those_who_decide_and_nobody_elses(square: Running) -> None:
    for name in ("Eve", "Cem"):
        assert square.client(name).post("/v1/cameras/south/preview").status_code == 403
    assert square.client("Ann").post("/v1/cameras/nowhere/preview").status_code == 404


def test_the_threshold_can_be_raised_and_never_lowered(square: Running) -> None:
    dee = square.client("Dee")
    now = dee.get("/v1/deployment").json()["threshold"]
    refused = dee.post("/v1/deployment/threshold", json={"threshold": now - 0.1})
    assert refused.status_code == 403
    assert "a lower one needs another authorisation" in refused.json()["detail"]
    raised = dee.post("/v1/deployment/threshold", json={"threshold": round(now + 0.01, 3)})
    assert raised.json()["threshold"] == round(now + 0.01, 3)
    (entry,) = square.resources.audit.entries("threshold-raised")
    assert entry.details["by"] == "Dee"


def test_a_camera_is_taken_out_and_in_while_the_other_goes_on(square: Running) -> None:
    dee = square.client("Dee")
    because = {"because": "the mast is being moved"}
    assert dee.request("DELETE", "/v1/cameras/north", json=because).status_code == 204
    frames = dee.get("/v1/cameras").json()[0]["frames"]
    assert dee.get("/v1/cameras").json()[0]["state"] == "taken-out"
    last = dee.request("DELETE", "/v1/cameras/south", json=because)
    assert last.status_code == 403
    assert "is the only one: stop the run instead" in last.json()["detail"]
    again = dee.put("/v1/cameras/north", json={"because": "it is up again"})
    assert again.status_code == 204, again.text
    wait_for(lambda: dee.get("/v1/cameras").json()[0]["frames"] > frames)
    twice = dee.put("/v1/cameras/north", json=because)
    assert "runs already" in twice.json()["detail"]
    noted = [
        (entry.kind, entry.details["by"])
        for entry in square.resources.audit.entries("camera-taken-out", "camera-taken-in")
    ]
    assert noted == [("camera-taken-out", "Dee"), ("camera-taken-in", "Dee")]


def test_a_camera_that_is_not_covered_is_refused_with_the_reason(square: Running) -> None:
    dee = square.client("Dee")
    file = square.folder / "deployment.toml"
    before = file.read_text()
    missing = dee.put("/v1/cameras/west", json={"because": "more light"})
    assert "has no camera 'west'" in missing.json()["detail"]
    for name, source, why in (
        ("east", square.folder / "nothing.mp4", "is not named in authorisation.cameras"),
        ("west", "rtsp://10.0.0.9/live", "is live: that needs a signed authorisation"),
    ):
        file.write_text(f'{before}\n[[cameras]]\nname = "{name}"\nsource = "{source}"\n')
        refused = dee.put(f"/v1/cameras/{name}", json={"because": "more light"})
        file.write_text(before)
        assert refused.status_code in (403, 409), refused.text
        assert why in refused.json()["detail"]
    assert square.engine.is_running


def test_a_camera_that_the_authorisation_covers_is_added_and_changed_as_the_file_has_it_now(square: Running) -> None:
    dee = square.client("Dee")
    file = square.folder / "deployment.toml"
    before = file.read_text()
    added = f'[[cameras]]\nname = "west"\nsource = "{square.material.south}"\nloop = true\n'
    zone = "[cameras.zone]\nwatch = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]\n"
    try:
        file.write_text(f"{before}\n{added}")
        taken_in = dee.put("/v1/cameras/west", json={"because": "more light"})
        assert taken_in.status_code == 204, taken_in.text
        wait_for(lambda: dee.get("/v1/cameras").json()[-1]["frames_hz"] > 0)
        whole = preview_shape(dee, "west")
        assert dee.request("DELETE", "/v1/cameras/west", json={"because": "its zone"}).status_code == 204
        file.write_text(f"{before}\n{added}{zone}")
        assert dee.put("/v1/cameras/west", json={"because": "its zone"}).status_code == 204
        # Its picture is that of the zone, and so is what the page says of it.
        wait_for(lambda: preview_shape(dee, "west") < 0.6 * whole)
        assert 'data-camera="west" data-viewport="0.0,0.0,0.5,1.0"' in dee.get("/cameras").text
        assert dee.request("DELETE", "/v1/cameras/west", json={"because": "a test ends"}).status_code == 204
    finally:
        file.write_text(before)


def preview_shape(client: httpx.Client, camera: str) -> float:
    """Width over height of a camera's picture; a preview that has none yet is waited for."""
    path = f"/v1/cameras/{camera}/preview"
    wait_for(lambda: client.post(path).status_code == 204)
    wait_for(lambda: client.get(path).status_code == 200)
    height, width, _ = picture(client.get(path)).shape
    return width / height


def test_a_reference_is_refused_with_every_reason_enrolled_reviewed_and_withdrawn(
    square: Running, media_dir: Path
) -> None:
    dee, eve = square.client("Dee"), square.client("Eve")
    out = io.BytesIO()
    Image.fromarray(np.full((300, 300, 3), 120, np.uint8)).save(out, "JPEG")
    empty = {"name": "nobody", "picture": base64.b64encode(out.getvalue()).decode()}
    refused = dee.post("/v1/watchlist/entries", json=empty)
    assert refused.status_code == 422
    assert "no face" in refused.json()["detail"]
    broken = dee.post("/v1/watchlist/entries", json={"name": "nobody", "picture": base64.b64encode(b"no").decode()})
    assert broken.status_code == 422
    woman = next(square.folder.glob("woman*"))
    asked = {"name": "woman", "picture": base64.b64encode(woman.read_bytes()).decode(), "justification": "a test"}
    made = dee.post("/v1/watchlist/entries", json=asked)
    assert made.status_code == 201, made.text
    entry = made.json()
    assert entry["references"][0]["proposed_by"] == "Dee"
    # Sent again after a restart, which has forgotten every idempotency key.
    twice = dee.post("/v1/watchlist/entries", json=asked)
    assert twice.status_code == 409
    assert "is enrolled as 'woman' already" in twice.json()["detail"]
    reviewed = dee.post(f"/v1/watchlist/entries/{entry['id']}/reviews")
    assert reviewed.json()["references"][0]["reviewed_by"] == "Dee"
    listed = eve.get("/v1/watchlist").json()
    assert [each["name"] for each in listed["entries"]] == ["man", "woman"]
    gone = dee.request("DELETE", f"/v1/watchlist/entries/{entry['id']}", json={"because": "found"})
    assert gone.status_code == 204
    assert [each["name"] for each in eve.get("/v1/watchlist").json()["entries"]] == ["man"]
    assert dee.request("DELETE", "/v1/watchlist/entries/99", json={"because": "found"}).status_code == 404
    noted = [
        entry.kind
        for entry in square.resources.audit.entries("enrolled", "reference-reviewed", "removed-from-watchlist")
    ]
    assert noted == ["enrolled", "reference-reviewed", "removed-from-watchlist"]
    assert b"woman" not in (square.folder / "audit.log").read_bytes()


def test_stopping_ends_the_run_with_the_reason_and_the_pages_stay(square: Running) -> None:
    ann = square.client("Ann")
    assert ann.post("/v1/deployment/stop", json={"because": ""}).status_code == 422
    assert ann.post("/v1/deployment/stop", json={"because": "a child was found"}).status_code == 202
    wait_for(lambda: "run-ended" in square.kinds())
    shown = ann.get("/v1/deployment").json()
    assert (shown["is_running"], shown["ended_because"]) == (False, "stopped by Ann: a child was found")
    again = square.client("Dee").post("/v1/deployment/threshold", json={"threshold": 0.99})
    assert "the run is over: stopped by Ann" in again.json()["detail"]
