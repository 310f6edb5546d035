"""A deployment file that cannot be followed is refused with the key, the expectation and the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pylfr.deployment.config import read_deployment
from pylfr.deployment.sections.record import AuditSection
from pylfr.errors import ConfigError

GOOD = """
name = "Market Square"
[authorisation]
purpose = "find a missing person"
place = "Market Square"
cameras = ["gate"]
starts_at = 2026-01-11T08:00:00Z
ends_at = 2026-01-11T16:00:00Z
authorising_officer = "Superintendent A. Example"
legal_basis = "common law powers"
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
[watchlist]
file = "square.watchlist"
[audit]
path = "audit.jsonl"
[recognition]
threshold = 0.5
[[cameras]]
name = "gate"
source = "gate.mp4"
[[sinks]]
type = "jsonl"
path = "alerts.jsonl"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "deployment.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    deployment = read_deployment(write(tmp_path, GOOD))
    assert deployment.watchlist.file == tmp_path / "square.watchlist"
    assert deployment.audit.path == tmp_path / "audit.jsonl"
    assert deployment.recognition.threshold == 0.5
    assert [sink.type for sink in deployment.sinks] == ["jsonl"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("threshold =", "treshold ="), r"recognition: unknown key 'treshold': the nearest valid key is 'threshold'"),
        (
            ('name = "gate"', 'name = "ga\\u001b[2Jte"'),
            r"cameras.0.name: must have printable characters only, it has .x1b, got 'ga\\x1b",
        ),
        (
            ('name = "Market Square"', 'name = "Market\\nSquare"'),
            r"name: must have printable characters only",
        ),
        (("threshold = 0.5", "threshold = 64"), r"recognition.threshold: .*less than or equal to 1, got 64"),
        (("[watchlist]\nfile", "[watchlist]\nfle"), r"nearest valid key is 'file'"),
        (("[watchlist]", "[watchlist]\npoll_ms = inf"), r"watchlist.poll_ms: .*finite"),
        (("[watchlist]", "[watchlist]\npoll_ms = 60001"), r"watchlist.poll_ms: .*less than or equal to 60000"),
        (("threshold = 0.5", "threshold = nan"), r"recognition.threshold: .*finite"),
        (('purpose = "find a missing person"\n', ""), r"authorisation.purpose: Field required"),
        (('name = "gate"', 'name = "gait"'), r"camera 'gait' is not named in authorisation.cameras"),
        (('type = "jsonl"', 'type = "jsnl"'), r"jsonl"),
        (("detector = ", "detector ="), None),
        (("[models]", "[models"), r"not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: tuple[str, str], words: str | None) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    if words is None:
        read_deployment(path)
        return
    with pytest.raises(ConfigError, match=words):
        read_deployment(path)


def test_a_file_without_an_authorisation_is_refused_and_told_what_one_holds(tmp_path: Path) -> None:
    start, end = GOOD.index("[authorisation]"), GOOD.index("[models]")
    with pytest.raises(ConfigError, match=r"no \[authority\].*signed.*authorising_officer and legal_basis"):
        read_deployment(write(tmp_path, GOOD[:start] + GOOD[end:]))


def test_a_signed_authorisation_and_plain_words_exclude_each_other(tmp_path: Path) -> None:
    authority = """
[authority]
profile = "uk-police"
place = "Market Square"
signed = "authorisation.json"
officer_key = "officer.pub"
"""
    with pytest.raises(ConfigError, match=r"give either \[authority\].* or \[authorisation\], for recordings alone"):
        read_deployment(write(tmp_path, GOOD + authority))


def test_two_cameras_of_one_name_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="duplicate camera name 'gate'"):
        read_deployment(write(tmp_path, GOOD + '[[cameras]]\nname = "gate"\nsource = "b.mp4"\n'))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_deployment(tmp_path / "missing.toml")


RTSP_ON_NVDEC = GOOD.replace('source = "gate.mp4"', 'source = "rtsp://192.0.2.1/a"\ndecode = "nvdec"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RTSP_ON_NVDEC, r'\'gate\' has decode = "nvdec".*device is "cpu": set device = "cuda"'),
        (
            RTSP_ON_NVDEC.replace("rtsp://192.0.2.1/a", "gate.mp4"),
            r'isolated process without a GPU.*isolation = "none"',
        ),
        (RTSP_ON_NVDEC.replace("rtsp://192.0.2.1/a", "/dev/video0"), r"is a device of this machine"),
        (RTSP_ON_NVDEC.replace('"nvdec"', '"nvdec"\nzone = { watch = [[0, 0], [1, 0], [1, 1]] }'), r"and a zone"),
        (RTSP_ON_NVDEC.replace('"nvdec"', '"gpu"'), r"'cpu' or 'nvdec'"),
    ],
)
def test_nvdec_is_refused_where_its_pictures_could_not_stay_on_the_gpu(tmp_path: Path, text: str, words: str) -> None:
    if "device is" not in words or "machine" in words:
        text = text.replace("[models]", '[models]\ndevice = "cuda"')
    with pytest.raises(ConfigError, match=words):
        read_deployment(write(tmp_path, text))


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_nvdec_is_taken_for_a_network_camera_and_for_trusted_recordings(tmp_path: Path, isolation: str) -> None:
    text = RTSP_ON_NVDEC.replace("[models]", f'[decode]\nisolation = "{isolation}"\n[models]\ndevice = "cuda"')
    assert read_deployment(write(tmp_path, text)).cameras[0].decode == "nvdec"
    recording = write(tmp_path, text.replace("rtsp://192.0.2.1/a", "gate.mp4"))
    if isolation == "process":
        with pytest.raises(ConfigError, match="isolated process without a GPU"):
            read_deployment(recording)
    else:
        assert read_deployment(recording).cameras[0].decode == "nvdec"
    assert read_deployment(write(tmp_path, GOOD)).cameras[0].decode == "cpu"


@pytest.mark.parametrize(
    ("models", "recognition", "words"),
    [
        ("side_px = 320", "smallest_face_px = 40", r"either \[recognition\] smallest_face_px or \[models\] side_px"),
        ('device = "cuda"', "smallest_face_px = 40", r"smallest_face_px is for networks on the CPU.*side_px"),
        ('device = "cuda"', "full_look_s = 1", r"full_look_s is for networks on the CPU.*leave it out"),
    ],
)
def test_what_makes_detection_cheaper_on_the_cpu_alone_is_refused_elsewhere_and_twice(
    tmp_path: Path, models: str, recognition: str, words: str
) -> None:
    on_cpu = GOOD.replace("[recognition]", f"[recognition]\n{recognition}")
    with pytest.raises(ConfigError, match=words):
        read_deployment(write(tmp_path, on_cpu.replace("[models]", f"[models]\n{models}")))
    assert read_deployment(write(tmp_path, on_cpu)).models.device == "cpu"


def test_a_passphrase_is_named_and_never_written_into_the_file() -> None:
    named = AuditSection(path=Path("log"), key=Path("key"), checkpoints=Path("c"), passphrase="${RECORD_PASSPHRASE}")
    assert named.passphrase == "${RECORD_PASSPHRASE}"
    with pytest.raises(ValidationError, match="must name an environment variable"):
        AuditSection(path=Path("log"), key=Path("key"), checkpoints=Path("c"), passphrase="correct horse")
