"""The main job on a device: the same right alerts, of the host's pictures and of surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from pylfr import ops
from pylfr.deployment import models as deployment_models
from pylfr.deployment import open as deployment_open
from pylfr.deployment.open import open_rehearsal
from pylfr.engine.summary import Summary
from pylfr.errors import CudaError
from pylfr.faces.device import detect, recognise
from pylfr.gallery.index import build
from pylfr.gallery.index.device import DeviceIndexGallery
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.models.store import Model
from pylfr.protocols import Source
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Alert, Device
from pylfr.video.decoding.nvdec import require_nvdec
from pylfr.video.open import open_file
from pylfr.video.sources.file import FileSource
from tests.devices import IS_STAND_IN, HostedRuntime, needs_a_gpu
from tests.footage import BOTH, MAN, NOBODY, TRUTH, WALKING, WALKING_AND_PAUSE, WOMAN, save_references, video
from tests.samples import NOON
from tests.video.surfaces import MadeUpNvdec

ALL = [WALKING_AND_PAUSE, WALKING, WOMAN, MAN, BOTH, NOBODY]

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def references(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return save_references(media_dir, tmp_path_factory.mktemp("references"))


@pytest.fixture(autouse=True)
def networks_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a CPU plays the device no library runs networks on it: the host does, in between the device's stages."""
    if not IS_STAND_IN:
        return

    def open_hosted(model: Model, *, device: Device, **_: object) -> HostedRuntime:
        return HostedRuntime(open_runtime(model), device)

    for module in (detect, recognise):
        monkeypatch.setattr(module, "open_device_runtime", open_hosted)


def rehearse(
    cameras: list[Path] | list[Source], people: dict[str, list[Path]], device: Device
) -> tuple[list[Alert], Summary]:
    engine = open_rehearsal(cameras, people, detector="yunet_n", embedder="face_reid_0095", device=device)
    return [recorded.value for recorded in engine.run()], engine.summary()


def require_right(alerts: list[Alert], summary: Summary) -> None:
    """Each of those who must alert did, once, where they stand; nobody else."""
    assert summary.errors == ()
    wanted = sorted((entry, camera) for entry, camera in TRUTH if camera in summary.cameras)
    assert sorted((alert.entry, alert.camera) for alert in alerts) == wanted
    by_place = {(alert.entry, alert.camera): alert.box[0] for alert in alerts}
    assert by_place["woman", WALKING_AND_PAUSE] < 160
    assert by_place["woman", BOTH] < 160 < by_place["man", BOTH]
    assert all(alert.crop.std() > 10 for alert in alerts)
    assert summary.dwell_ms.count == summary.recognised > 0


@pytest.mark.cuda
def test_six_cameras_on_a_device_give_every_right_alert_once_and_no_other(
    media_dir: Path, references: dict[str, list[Path]]
) -> None:
    require_right(*rehearse([video(media_dir, name) for name in ALL], references, "cuda"))


@needs_a_gpu
@pytest.mark.cuda
def test_six_cameras_decoded_there_give_every_right_alert_once_and_no_other(
    media_dir: Path, references: dict[str, list[Path]]
) -> None:
    try:
        require_nvdec()
    except CudaError as error:
        pytest.skip(str(error))
    cameras: list[Source] = [
        open_file(video(media_dir, name), camera=name, started_at=NOON, isolation="none", decode="nvdec")
        for name in ALL
    ]
    require_right(*rehearse(cameras, references, "cuda"))


def test_the_stages_of_a_device_take_surfaces_and_give_every_right_alert_once(
    media_dir: Path, references: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's schedule, run by the CPU: what remains for a GPU is CUDA itself and its decoder."""

    def open_networks(detector: str, embedder: str, **_: object) -> object:
        return deployment_models.on_device(detector, embedder, "cpu", runtime="onnx")

    def open_index(snapshot: WatchlistSnapshot) -> DeviceIndexGallery:
        return DeviceIndexGallery(snapshot, precision="float32", stream=ops.Stream("cpu"))

    monkeypatch.setattr(deployment_open, "open_networks", open_networks)
    monkeypatch.setitem(cast("dict[str, object]", build._BUILDERS), "device-float32", open_index)
    cameras: list[Source] = [
        FileSource(
            video(media_dir, name),
            camera=name,
            started_at=NOON,
            pace="as-fast-as-possible",
            loop=False,
            threads=1,
            decoding=MadeUpNvdec(),
        )
        for name in (WALKING_AND_PAUSE, BOTH, NOBODY)
    ]
    assert all(frame.surfaces for frame, _ in zip(cameras[0].frames(), range(2), strict=False))
    require_right(*rehearse(cameras, references, "cpu"))
