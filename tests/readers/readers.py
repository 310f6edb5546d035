"""Every reader: a whole file of its kind, and how it is read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from PIL import Image

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.toml_model import read_tables, record_from
from pylfr.cli.enrol_batch import Proposal, read_proposals
from pylfr.deployment.clock import ClockReading, read_last, write_last
from pylfr.deployment.config import read_deployment
from pylfr.engine.track_statistics import read_aggregate
from pylfr.errors import ConfigError, ModelError, PylfrError
from pylfr.evaluation.cohorts import read_groups
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.images.verification import read_pairs
from pylfr.evaluation.video.passes import read_truth
from pylfr.fleet.bundle import pack_bundle, read_bundle
from pylfr.fleet.sites import read_fleet
from pylfr.gallery.watchlist.sealed import open_sealed, seal_watchlist, sealed_revision
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.governance.adjudication.backup import back_up, restore
from pylfr.governance.adjudication.database import connect_records, open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.stored import StoredAlert
from pylfr.governance.audit.audit import open_audit, read_audit
from pylfr.governance.audit.receiver import CheckpointStore
from pylfr.governance.authorisation.authority import plain_fields
from pylfr.governance.authorisation.certificates import read_calibration, read_cohorts
from pylfr.governance.authorisation.draft import read_case, read_draft
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.governance.authorisation.profiles import Profile
from pylfr.governance.authorisation.readable import terms_of
from pylfr.governance.authorisation.signed import parse_authorisation, read_signed, sign_authorisation
from pylfr.governance.authorisation.trust import read_trust_root
from pylfr.governance.keys.keys import make_key, read_public_key, read_signing_key
from pylfr.governance.keys.person_key import read_person_key
from pylfr.governance.keys.vault import VaultKey, make_vault_key, read_key_file
from pylfr.governance.retention.past_listing import read_manifest as read_past_listing
from pylfr.governance.retention.past_listing import write_manifest as write_past_listing
from pylfr.governance.retention.sweeper import line_times, read_sealed, sealed_times, sweep_lines, write_sealed
from pylfr.models import transfer
from pylfr.models.last_layer import take_off_last_layer
from pylfr.models.ledger import Ledger
from pylfr.models.manifest import read_manifest
from pylfr.models.onnx_file import require_self_contained
from pylfr.sinks.pending import open_cursor
from pylfr.sizing.gpu_plan import read_gpu_rates
from pylfr.sizing.machine import this_machine
from pylfr.sizing.recommend import read_sized
from pylfr.types import Event
from pylfr.video.decoding.image_io import load_formats, read_image
from pylfr.video.open import open_file
from pylfr.video.sources.camera_certificates import only_certificate, require_readable
from tests.conditions.recordings import write
from tests.deployment.test_config import GOOD
from tests.gallery.watchlist.test_sealed import enrolled
from tests.governance.samples import NOON, authorisation, calibration, cohorts
from tests.governance.security_key import SecurityKey
from tests.models.manifests import DETECTOR, EMBEDDER
from tests.models.test_last_layer import network, node, weights
from tests.open_files import open_files
from tests.samples import sample_alert
from tests.sinks.certificates import certificates
from tests.video.clips import write_clip

_REPOSITORY = Path(__file__).parents[2]
_LATER = NOON + timedelta(days=36500)
_ORIGIN = Origin(source="custody", lawful_basis="PACE", captured_on=NOON.date(), proposed_by="a")
_COMMON = Proposal(where="", name="", image=Path(), origin=_ORIGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """``whole`` names a file of ``make_whole``; ``read`` is given a damaged one, and the folder of the others.

    ``names_the_file`` is False where a reader is given content and not a path.
    """

    whole: str
    read: Callable[[Path, Path], object]
    names_the_file: bool = True
    file: str = "attacked.file"


def make_whole(folder: Path) -> None:
    """One whole file for each reader, by its name."""
    make_key(folder / "officer.key")
    officer = read_signing_key(folder / "officer.key")
    (folder / "draft.json").write_text(
        json.dumps({name: value for name, value in plain_fields(authorisation()).items() if name != "signed_at"})
    )
    (folder / "case.toml").write_text(_CASE)
    (folder / "signed").write_bytes(sign_authorisation(authorisation(profile="eu-leo"), (officer,)))
    (folder / "calibration").write_text(calibration().model_dump_json())
    (folder / "cohorts").write_text(cohorts().model_dump_json())
    key = make_vault_key(folder / "vault", expires_at=_LATER)
    enrolled(folder / "list")
    seal_watchlist(folder / "list", folder / "sealed", key)
    write_past_listing(folder / "past", watchlist="w", references=["A"], key=officer, origins=())
    write_sealed(folder, "evidence", b"a face", key, erase_at=_LATER).rename(folder / "evidence")
    with closing(
        open_audit(folder / "log", key=officer, checkpoints=folder / "checkpoints", clock=lambda: NOON)
    ) as log:
        log.record(sample_alert())
        log.note(Event(kind="run-ended", details={"tracks": 1}))
    (folder / "deployment.toml").write_text(GOOD)
    (folder / "every_section.toml").write_bytes((_REPOSITORY / "examples/deployment.toml").read_bytes())
    (folder / "fleet.toml").write_text(_FLEET)
    (folder / "site").mkdir()
    (folder / "site/deployment.toml").write_text(GOOD)
    pack_bundle(folder / "site", folder / "bundle", site="north", version=2, made_at=NOON, key=officer)
    (folder / "sized.json").write_text(json.dumps(_SIZED))
    (folder / "pairs.txt").write_text("1 2\nada 1 2\nada 1 grace 1\n")
    (folder / "cursor").write_text('{"authorisations":["a"],"sequence":1}\n')
    _keys_under_passphrases(folder)
    _records(folder)
    certificates(folder)
    (folder / "security.pub").write_text(f"{SecurityKey().public.text}\n")
    (folder / "detector.toml").write_text(DETECTOR)
    (folder / "embedder.toml").write_text(EMBEDDER)
    (folder / "profile.toml").write_bytes((_REPOSITORY / "pylfr/governance/profiles/eu-leo.toml").read_bytes())
    (folder / "trust.toml").write_text(f'[officers]\n"A. Example" = "{officer.public.text}"\n[measurers]\n')
    (folder / "alerts.jsonl").write_text(
        json.dumps({"type": "alert", "recorded_at": NOON.isoformat(), "id": "a"}) + "\n"
    )
    (folder / "people.csv").write_text("name,image,expires,captured\nAda,a.jpg,2026-02-01T00:00:00Z,2026-01-01\n")
    (folder / "groups.csv").write_text("person,group\nada,one\ngrace,two\n")
    (folder / "truth.csv").write_text("camera,subject,mated,starts_s,ends_s\nc,ada,yes,0,1.5\n")
    passed = {"camera": "c", "subject": "a", "mated": True, "starts_s": 0, "ends_s": 1, "path": [[0, 1, 2, 3, 4]]}
    (folder / "truth.json").write_text(json.dumps({"passes": [passed]}))
    (folder / "rates.json").write_bytes((_REPOSITORY / "benchmarks/results/gpu.json").read_bytes())
    note = {"kind": "licence", "subject": "x", "value": "y", "user": "u", "noted_at": NOON.isoformat()}
    (folder / "ledger").write_text(json.dumps(note) + "\n")
    write_last(folder / "clock", ClockReading(at=NOON, since_boot_s=5.0, boot="b"))
    with zipfile.ZipFile(folder / "networks.zip", "w") as archive:
        archive.writestr("a.onnx", b"network")
    _pictures(folder)
    write_clip(folder / "clip.mp4", frames=6)
    for name, (codec, options) in _RECORDINGS.items():
        write(folder / name, codec=codec, frames=6, options=options,
              coding={"x265-params": "log-level=none"} if codec == "libx265" else {"bf": "0"})  # fmt: skip
    (folder / "network.onnx").write_bytes(_network())


# The formats of phones are read where their libraries are installed.
load_formats()
_PICTURES = (
    *("jpeg", "png", "tiff", "webp", "gif", "bmp", "ppm"),
    *(kind for kind in ("avif", "heif") if kind.upper() in Image.SAVE),
)

# What pylfr itself looks through beside FFmpeg: packets, boxes, elements, tags and the numbers of pictures.
_RECORDINGS = {
    "clip.ts": ("libx264", {}),
    "clip.mkv": ("libx264", {"live": "1"}),
    "clip.flv": ("libx264", {}),
    "clip.avi": ("mpeg4", {}),
    "clip.hevc": ("libx265", {}),
    "clip.mpg": ("mpeg2video", {}),
    "clip.mov": ("libx264", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "constant.ts": ("libx264", {"muxrate": "400000"}),
    "clip.asf": ("mpeg4", {}),
    "clip.ivf": ("libvpx", {}),
    "clip.mjpeg": ("mjpeg", {}),
}


_CASE = """
purpose = "find two people who are wanted"
necessity = "nothing milder finds them"
starts_at = 2026-01-11T08:00:00Z
ends_at = 2026-01-11T16:00:00Z
signage_confirmed = true
"""
_FLEET = """
checkpoints = "checkpoints"
[sites.north]
url = "https://north.example"
token = "${NORTH}"
record = "officer.pub"
"""
_MACHINE = this_machine()
_SIZED = {
    "type": "sizing",
    "cameras": 5,
    "confirmed": True,
    "conditions": {"detector": "slow", "embedder": "comparer", "runtime": "onnx"},
    "machine": {"processor": _MACHINE.processor, "cores": _MACHINE.cores},
}
_PASSPHRASE = "a passphrase"
_PEOPLE = PeopleTemplates(
    vectors=np.zeros((3, 4), np.float32),
    person=np.array([0, 0, 1], np.int64),
    acquired=np.ones(3, np.bool_),
    names=("ada", "grace"),
    paths=tuple(Path(f"{name}.jpg") for name in ("ada/ada_0001", "ada/ada_0002", "grace/grace_0001")),
    unreadable=(),
    model="m",
)


def _keys_under_passphrases(folder: Path) -> None:
    """A vault's key, and a signing key as older versions wrote it: with so few rounds that many can be tried."""
    make_vault_key(folder / "vault.secret", expires_at=_LATER, passphrase=_PASSPHRASE)
    private = Ed25519PrivateKey.generate()
    sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_PASSPHRASE.encode()))
    (folder / "secret.key").write_bytes(sealed)


def _records(folder: Path) -> None:
    """The records of one alert, as the database holds them, and a backup of them."""
    url = f"sqlite:///{folder / 'records'}"
    with closing(open_records(url, clock=lambda: NOON)) as records:
        records.add_deployment("0" * 16, name="square", profile="research", words="{}")
        records.enter(
            StoredAlert(
                id="a", sequence=1, authorisation="0" * 16, camera="north", captured_at=utc_text(NOON),
                recorded_at=utc_text(NOON), entry="Ada", score=0.5, threshold=0.4, min_adjudicators=1,
                erase_at=utc_text(_LATER), forget_at=None,
            )
        )  # fmt: skip
    engine = connect_records(url)
    with engine.begin() as connection:
        (folder / "backup").write_bytes(back_up(connection, key_of(folder)))
    engine.dispose()


def _pictures(folder: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in _PICTURES:
        content = io.BytesIO()
        picture.save(content, kind, **({"exif": exif} if kind in ("jpeg", "png", "webp", "tiff") else {}))
        (folder / f"picture.{kind}").write_bytes(content.getvalue())


def _network() -> bytes:
    """An ONNX file that ends in a linear layer, written without the onnx package."""
    weight = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    return network(node("Flatten", "x", "f") + node("Gemm", "f w", "y") + weights("w", weight))


def key_of(folder: Path) -> VaultKey:
    return read_key_file(folder / "vault").open(now=NOON)


def _watchlist(path: Path, _: Path) -> None:
    read_watchlist(path)


def read_watchlist(path: Path) -> None:
    """Everything that is read of a watchlist."""
    with closing(open_watchlist(path)) as opened:
        opened.enrolled_files()
        _ = opened.profile, opened.identity, opened.revision
        for entry in opened.entries():
            opened.references(entry.name)
        snapshot = opened.snapshot()
        for number in snapshot.listed:
            snapshot.reference(number)


def _sweep(path: Path, folder: Path) -> None:
    list(line_times(path, retention=timedelta(hours=24), now=NOON))
    sweep_lines(path, retention=timedelta(hours=24), now=NOON)
    if path.parent != folder:
        list(sealed_times(path.parent, now=NOON))


def _log(path: Path, _: Path) -> None:
    list(read_audit(path).flaws)
    with closing(open_audit(path, clock=lambda: NOON)) as opened:
        list(opened.entries())


def _signed_log(path: Path, folder: Path) -> None:
    key = read_signing_key(folder / "officer.key")
    list(read_audit(folder / "log", checkpoints=path, key=key.public).flaws)


def _draft(path: Path, _: Path) -> None:
    """As it is shown to whoever signs it, and as it is signed."""
    fields = read_draft(path)
    terms_of(fields)
    parse_authorisation(path, {**fields, "signed_at": utc_text(NOON)})


def _stored(path: Path, _: Path) -> None:
    """Everything that is read of records, and compared with a log that knows nothing of them."""
    with (
        closing(open_records(f"sqlite:///{path}")) as records,
        TemporaryDirectory() as place,
        closing(open_audit(Path(place) / "log", clock=lambda: NOON)) as log,
    ):
        Review(records, log).read()


def _zip(path: Path, _: Path) -> None:
    for member, size in transfer.members(path).items():
        transfer.unpack(path, member, io.BytesIO(), size_bytes=size)


def _recording(path: Path, _: Path) -> None:
    source = open_file(path, camera="gate", started_at=NOON, pace="as-fast-as-possible", isolation="none")
    with closing(source):
        for _frame in source.frames():
            pass


def _network_file(path: Path, _: Path) -> None:
    try:
        content = read_file(path)
    except OSError as error:
        raise ModelError(str(error)) from error
    require_self_contained(content, name=str(path))
    take_off_last_layer(content)


def _backup(path: Path, folder: Path) -> None:
    engine = connect_records("sqlite://")
    try:
        with engine.begin() as connection:
            restore(connection, path, key_of(folder))
    finally:
        engine.dispose()


def _received(path: Path, folder: Path) -> None:
    CheckpointStore(path, read_public_key(folder / "officer.pub")).load()


def _authorities(path: Path, _: Path) -> None:
    require_readable(path, "gate")
    only_certificate(path)


def _profile(path: Path, _: Path) -> Profile:
    return record_from(read_tables(path, ConfigError), Profile, path=path, error_kind=ConfigError)


READERS: dict[str, Reader] = {
    "a signed authorisation": Reader(whole="signed", read=lambda path, _: read_signed(path)),
    "a draft of an authorisation": Reader(whole="draft.json", read=_draft),
    "the words of a case": Reader(whole="case.toml", read=lambda path, _: read_case(path, {"cameras": {"a": "b"}})),
    "a calibration certificate": Reader(whole="calibration", read=lambda path, _: read_calibration(path)),
    "a cohort certificate": Reader(whole="cohorts", read=lambda path, _: read_cohorts(path)),
    "a root of trust": Reader(whole="trust.toml", read=lambda path, _: read_trust_root(path)),
    "a vault key": Reader(whole="vault", read=lambda path, _: read_key_file(path).open(now=NOON)),
    "a private key": Reader(whole="officer.key", read=lambda path, _: read_signing_key(path)),
    "a vault key under a passphrase": Reader(
        whole="vault.secret", read=lambda path, _: read_key_file(path).open(now=NOON, passphrase=_PASSPHRASE)
    ),
    "a private key under a passphrase": Reader(
        whole="secret.key", read=lambda path, _: read_signing_key(path, passphrase=_PASSPHRASE)
    ),
    "a public key": Reader(whole="officer.pub", read=lambda path, _: read_public_key(path)),
    "the key of a security key": Reader(whole="security.pub", read=lambda path, _: read_person_key(path)),
    "authorities of a camera": Reader(whole="ca.pem", read=_authorities),
    "a sealed watchlist": Reader(whole="sealed", read=lambda path, at: open_sealed(path, key_of(at)).close()),
    "the head of a sealed watchlist": Reader(whole="sealed", read=lambda path, _: sealed_revision(path)),
    "a watchlist": Reader(whole="list", read=_watchlist),
    "a past listing": Reader(
        whole="past", read=lambda path, at: read_past_listing(path, read_public_key(at / "officer.pub"))
    ),
    "sealed evidence": Reader(
        whole="evidence", read=lambda path, at: read_sealed(path, key_of(at), now=NOON), names_the_file=False
    ),
    "an audit log": Reader(whole="log", read=_log),
    "checkpoints": Reader(whole="checkpoints", read=_signed_log),
    "checkpoints that were received": Reader(whole="checkpoints", read=_received),
    "lines of alerts": Reader(whole="alerts.jsonl", read=_sweep),
    "a deployment": Reader(whole="deployment.toml", read=lambda path, _: read_deployment(path)),
    "a deployment of every section": Reader(whole="every_section.toml", read=lambda path, _: read_deployment(path)),
    "a fleet": Reader(whole="fleet.toml", read=lambda path, _: read_fleet(path)),
    "a site bundle": Reader(
        whole="bundle", read=lambda path, at: read_bundle(path, read_public_key(at / "officer.pub"))
    ),
    "records": Reader(whole="records", read=_stored),
    "a backup of records": Reader(whole="backup", read=_backup),
    "how far a sink has come": Reader(
        whole="cursor", read=lambda path, _: open_cursor(path, authorisation="a", head=3)
    ),
    "a profile": Reader(whole="profile.toml", read=_profile),
    "a detector's manifest": Reader(whole="detector.toml", read=lambda path, _: read_manifest(path)),
    "an embedder's manifest": Reader(whole="embedder.toml", read=lambda path, _: read_manifest(path)),
    "a network": Reader(whole="network.onnx", read=_network_file),
    "an archive of networks": Reader(whole="networks.zip", read=_zip),
    "accepted licences": Reader(whole="ledger", read=lambda path, _: Ledger(path).accepts("x")),
    "aggregates": Reader(whole="calibration", read=lambda path, _: read_aggregate(path)),
    "people to enrol": Reader(whole="people.csv", read=lambda path, _: read_proposals(path, _COMMON)),
    "groups of people": Reader(whole="groups.csv", read=lambda path, _: read_groups(path)),
    "a truth file, CSV": Reader(whole="truth.csv", read=lambda path, _: read_truth(path, ["c"]), file="attacked.csv"),
    "a truth file, JSON": Reader(whole="truth.json", read=lambda path, _: read_truth(path, ["c"])),
    "pairs of pictures": Reader(whole="pairs.txt", read=lambda path, _: read_pairs(path, _PEOPLE)),
    "a sized machine": Reader(whole="sized.json", read=lambda path, _: read_sized(path, _MACHINE)),
    "rates of a GPU": Reader(whole="rates.json", read=lambda path, _: read_gpu_rates(path)),
    "a reading of the clock": Reader(whole="clock", read=lambda path, _: read_last(path)),
    "a recording": Reader(whole="clip.mp4", read=_recording),
    **{f"a recording, {name}": Reader(whole=name, read=_recording) for name in _RECORDINGS},
    **{
        f"a picture, {kind}": Reader(whole=f"picture.{kind}", read=lambda path, _: read_image(path))
        for kind in _PICTURES
    },
}


def folder_name(reader: str) -> str:
    """Where in the corpus the inputs are that broke this reader once."""
    return reader.replace(" ", "_").replace("'", "").replace(",", "")


def attack(reader: Reader, content: bytes, place: Path, folder: Path) -> None:
    """Read ``content`` from a file in the folder ``place``.

    Raises ``AssertionError`` unless it is read, or refused in one plain error that names the file, which is closed.
    """
    path = place / reader.file
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        reader.read(path, folder)
    except PylfrError as error:
        message = str(error)
        if str(path) in open_files():
            raise AssertionError(f"a file that is left open after: {message}") from error
        if len(message) > 5000:
            raise AssertionError(f"a message of {len(message)} characters: {message[:200]}") from error
        if reader.names_the_file and path.stem not in message:
            raise AssertionError(f"a message that does not name the file: {message}") from error
        message.encode()
