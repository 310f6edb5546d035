"""The main job on real footage: the right people alert, once, on the right camera, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.deployment.open import open_rehearsal
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.engine.summary import Summary
from pylfr.errors import EnrolmentError
from pylfr.faces.detect import open_detector
from pylfr.sinks.evidence import open_evidence
from pylfr.types import Alert, UInt8
from pylfr.video.decoding.image_io import read_image
from tests.footage import BOTH, MAN, NOBODY, TRUTH, WALKING, WALKING_AND_PAUSE, WOMAN, save_references, video
from tests.open_files import open_files

ALL = [WALKING_AND_PAUSE, WALKING, WOMAN, MAN, BOTH, NOBODY]
PAIRS = [
    ("yunet_n", "face_reid_0095"),
    ("scrfd_500m_kps", "mobilefacenet_y1"),
    ("pylfr_nano_detect", "pylfr_nano_embed"),
]

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def references(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return save_references(media_dir, tmp_path_factory.mktemp("references"))


def rehearse(
    videos: list[Path],
    people: dict[str, list[Path]],
    pair: tuple[str, str] = PAIRS[0],
    recognition: RecognitionSection | None = None,
) -> tuple[list[Alert], Summary]:
    engine = open_rehearsal(videos, people, detector=pair[0], embedder=pair[1], recognition=recognition)
    return [recorded.value for recorded in engine.run()], engine.summary()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(pair))
def test_six_cameras_at_once_give_every_right_alert_once_and_no_other(
    pair: tuple[str, str], media_dir: Path, references: dict[str, list[Path]]
) -> None:
    alerts, summary = rehearse([video(media_dir, name) for name in ALL], references, pair)
    assert sorted((alert.entry, alert.camera) for alert in alerts) == sorted(TRUTH)
    assert summary.errors == ()
    assert summary.alerts == len(TRUTH)
    by_place = {(alert.entry, alert.camera): alert.box[0] for alert in alerts}
    assert by_place["woman", WALKING_AND_PAUSE] < 160
    assert by_place["woman", BOTH] < 160 < by_place["man", BOTH]


@pytest.mark.parametrize(
    "cheaper", [{"full_look_s": 1.0}, {"smallest_face_px": 40.0}], ids=lambda each: next(iter(each))
)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(pair))
def test_no_alert_is_lost_where_detection_is_cheaper(
    pair: tuple[str, str], cheaper: dict[str, float], media_dir: Path, references: dict[str, list[Path]]
) -> None:
    recognition = RecognitionSection.model_validate(cheaper)
    alerts, summary = rehearse([video(media_dir, name) for name in ALL], references, pair, recognition)
    assert sorted((alert.entry, alert.camera) for alert in alerts) == sorted(TRUTH)
    assert summary.errors == ()
    assert (summary.frames_in_part + summary.frames_unchanged > 0) == ("full_look_s" in cheaper)


def test_six_cameras_at_once_give_what_each_gives_alone(media_dir: Path, references: dict[str, list[Path]]) -> None:
    together, _ = rehearse([video(media_dir, name) for name in ALL], references)
    alone = [alert for name in ALL for alert in rehearse([video(media_dir, name)], references)[0]]

    def facts(alerts: list[Alert]) -> list[tuple[str, str, int, tuple[float, ...]]]:
        return sorted((alert.camera, alert.entry, alert.track_id, alert.box) for alert in alerts)

    # Boxes agree to what a network's rounding may change when its batch is another.
    for one, other in zip(facts(together), facts(alone), strict=True):
        assert one[:3] == other[:3]
        assert np.allclose(one[3], other[3], atol=0.2)


def test_the_man_in_blue_is_nowhere_in_walking_and_pause(media_dir: Path, references: dict[str, list[Path]]) -> None:
    alerts, summary = rehearse([video(media_dir, WALKING_AND_PAUSE)], {"man": references["man"]})
    assert alerts == []
    assert summary.recognised > 0
    assert summary.dwell_ms.count == summary.recognised


def test_the_evidence_shows_one_face_to_two_detectors(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    sink = open_evidence(tmp_path / "evidence")
    engine = open_rehearsal(
        [video(media_dir, BOTH), video(media_dir, WALKING_AND_PAUSE)],
        references,
        detector="yunet_n",
        embedder="face_reid_0095",
        sinks=[sink],
    )
    alerts = [recorded.value for recorded in engine.run()]
    assert len(list((tmp_path / "evidence").glob("*.jpg"))) == len(alerts) == 3
    for name in ("yunet_n", "scrfd_500m_kps"):
        faces = open_detector(name, side_px=320).detect([alert.crop for alert in alerts])
        assert faces.frame_index.tolist() == [0, 1, 2]
    for path in (tmp_path / "evidence").glob("*.jpg"):
        assert read_image(path).shape[1] > 500


def test_a_truncated_video_yields_what_it_holds_then_the_error(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path
) -> None:
    whole = video(media_dir, WALKING_AND_PAUSE).read_bytes()
    cut, empty, text = tmp_path / "cut.mp4", tmp_path / "empty.mp4", tmp_path / "text.mp4"
    front = remuxed_with_index_first(video(media_dir, WALKING_AND_PAUSE), tmp_path)
    cut.write_bytes(front[: int(len(front) * 0.7)])
    empty.write_bytes(b"")
    text.write_text("this is no video")
    assert len(whole) > 1000
    alerts, summary = rehearse([cut, empty, text, video(media_dir, MAN)], references)
    assert 0 < summary.cameras["cut"].frames < 41
    assert {alert.camera for alert in alerts if alert.entry == "man"} == {MAN}
    assert len(summary.errors) == 3
    for camera in ("cut", "empty", "text"):
        assert any(error.startswith(f"camera {camera}: ") and f"{camera}.mp4" in error for error in summary.errors)


def test_a_reference_without_a_face_and_one_with_several_are_refused(media_dir: Path, tmp_path: Path) -> None:
    from pylfr.video.decoding.image_io import write_png
    from tests.footage import picture_of

    write_png(tmp_path / "nobody.png", picture_of(video(media_dir, NOBODY), 0))
    write_png(tmp_path / "crowd.png", picture_of(video(media_dir, WALKING_AND_PAUSE), 30))
    for name, words in (("nobody", "no face"), ("crowd", "3 faces")):
        with pytest.raises(EnrolmentError, match=words):
            rehearse([video(media_dir, MAN)], {"x": [tmp_path / f"{name}.png"]})


def test_a_threshold_out_of_reach_gives_no_alert(media_dir: Path, references: dict[str, list[Path]]) -> None:
    # The reference is a picture of this very recording: its own frames come to 0.99.
    engine = open_rehearsal(
        [video(media_dir, MAN)],
        references,
        detector="yunet_n",
        embedder="face_reid_0095",
        recognition=RecognitionSection(threshold=1.0),
    )
    assert list(engine.run()) == []


def remuxed_with_index_first(path: Path, folder: Path) -> bytes:
    """The same packets with the index before them, so that a cut file can still be opened."""
    import av

    target = folder / "front.mp4"
    with av.open(str(path)) as source, av.open(str(target), "w", options={"movflags": "faststart"}) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target.read_bytes()


def test_enrolment_for_a_rehearsal_never_touches_a_disk(
    media_dir: Path, references: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one that is killed at any moment leaves no template and no picture behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))
    found: list[object] = []

    def read(path: Path) -> UInt8:
        found.extend(temporary.rglob("*"))
        found.extend(each for each in open_files() if "watchlist" in each or str(temporary) in each)
        return read_image(path)

    monkeypatch.setattr("pylfr.deployment.open.read_image_isolated", read)
    people = {name: [*images, *images] for name, images in references.items()}
    open_rehearsal([video(media_dir, MAN)], people, detector=PAIRS[0][0], embedder=PAIRS[0][1])
    assert found == []
    assert list(temporary.iterdir()) == []
