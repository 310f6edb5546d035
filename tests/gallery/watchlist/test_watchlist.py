from __future__ import annotations

import io
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.errors import ConfigError, EnrolmentError, WatchlistError
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.watchlist import Enrolment, Watchlist, create_watchlist, open_watchlist
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.types import UInt8
from tests.gallery.stand_ins import (
    LANDMARKS,
    MODEL,
    OTHER_MODEL,
    NoFaceDetector,
    StandInDetector,
    StandInEmbedder,
    image_of,
    probe_of,
    template_of,
)

REPOSITORY = Path(__file__).parents[3]
DETECTOR, EMBEDDER = StandInDetector(), StandInEmbedder()


def enrol(watchlist: Watchlist, name: str, image: UInt8, *, expires_at: datetime | None = None) -> Enrolment:
    return watchlist.enrol(name, image, detector=DETECTOR, embedder=EMBEDDER, expires_at=expires_at)


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.watchlist"


@pytest.fixture
def watchlist(path: Path) -> Iterator[Watchlist]:
    with create_watchlist(path, EMBEDDER) as made:
        yield made


def test_a_new_watchlist_is_empty_and_private(watchlist: Watchlist, path: Path) -> None:
    assert watchlist.entries() == ()
    assert (watchlist.revision, watchlist.model) == (0, MODEL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_overwritten(watchlist: Watchlist, path: Path) -> None:
    enrol(watchlist, "Ada", image_of(1))
    with pytest.raises(WatchlistError, match="exists already"):
        create_watchlist(path, EMBEDDER)
    assert len(watchlist.entries()) == 1


def test_a_watchlist_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WatchlistError, match="cannot be created: No such file"):
        create_watchlist(tmp_path / "nowhere" / "x.watchlist", EMBEDDER)


def test_an_entry_has_several_images_and_one_name(watchlist: Watchlist) -> None:
    first = enrol(watchlist, "Ada", image_of(1, view=0))
    second = enrol(watchlist, "Ada", image_of(1, view=1))
    assert first.entry.id == second.entry.id
    assert (second.entry.references, second.revision) == (2, 2)
    assert [entry.name for entry in watchlist.entries()] == ["Ada"]


def test_what_is_said_of_an_entry_is_kept(watchlist: Watchlist) -> None:
    until = in_days(30)
    watchlist.enrol(
        "Ada",
        image_of(1),
        detector=DETECTOR,
        embedder=EMBEDDER,
        expires_at=until,
        category="missing",
        justification="case 7",
    )
    enrol(watchlist, "Ada", image_of(1, view=1))
    (entry,) = watchlist.entries()
    assert (entry.category, entry.justification, entry.expires_at) == ("missing", "case 7", until)


def test_a_refused_image_gives_every_reason_and_changes_nothing(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada", image_of(1))
    small = StandInDetector((LANDMARKS / 4 + 60).astype(np.float32))
    with pytest.raises(EnrolmentError) as caught:
        watchlist.enrol("Eve", image_of(1, view=5), detector=small, embedder=EMBEDDER)
    assert "too small: 9 px" in str(caught.value)
    assert "enrolled already as 'Ada': comparison score 0.9" in str(caught.value)
    assert watchlist.revision == 1
    assert [entry.name for entry in watchlist.entries()] == ["Ada"]


@pytest.mark.parametrize(
    ("detector", "said"),
    [(NoFaceDetector(), "no face was found"), (StandInDetector(LANDMARKS, LANDMARKS + 80), "2 faces were found")],
)
def test_an_image_shows_exactly_one_face(watchlist: Watchlist, detector: StandInDetector, said: str) -> None:
    with pytest.raises(EnrolmentError, match=said):
        watchlist.enrol("Ada", image_of(1), detector=detector, embedder=EMBEDDER, gate=EnrolmentGate.one_face())
    assert watchlist.revision == 0


def test_an_image_of_the_same_entry_is_no_duplicate(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada", image_of(1))
    assert enrol(watchlist, "Ada", image_of(1)).entry.references == 2


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_a_name_is_printable_and_not_too_long(watchlist: Watchlist, name: str) -> None:
    with pytest.raises(ValueError, match="name must have"):
        enrol(watchlist, name, image_of(1))


@pytest.mark.parametrize("expires_at", [in_days(-1), datetime(2999, 1, 1)])  # noqa: DTZ001 - that is the fault
def test_an_expiry_lies_in_the_future_and_has_a_zone(watchlist: Watchlist, expires_at: datetime) -> None:
    with pytest.raises(ValueError, match="expires_at must lie in the future and carry a time zone"):
        enrol(watchlist, "Ada", image_of(1), expires_at=expires_at)


def test_what_is_removed_is_gone_from_the_file(watchlist: Watchlist, path: Path) -> None:
    for person in range(20):
        enrol(watchlist, f"person {person}", image_of(person))
    kept, removed = (template_of(person, 0).astype("<f4").tobytes() for person in (3, 7))
    assert removed in path.read_bytes()
    watchlist.remove("person 7")
    assert watchlist.revision == 21
    content = path.read_bytes()
    assert kept in content
    assert removed not in content
    assert b"person 7" not in content
    assert [each.name for each in path.parent.iterdir()] == [path.name], "no journal keeps it either"


def test_a_number_is_never_given_to_another_person(watchlist: Watchlist) -> None:
    first = enrol(watchlist, "Ada", image_of(1)).entry.id
    watchlist.remove("Ada")
    assert enrol(watchlist, "Eve", image_of(2)).entry.id > first


def test_removing_somebody_unknown_gives_the_nearest_name(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada Lovelace", image_of(1))
    with pytest.raises(WatchlistError, match="no entry 'Ada Lovelaec': the nearest are Ada Lovelace"):
        watchlist.remove("Ada Lovelaec")
    assert watchlist.revision == 1


def test_expired_entries_are_removed_together_and_count_as_one_change(watchlist: Watchlist) -> None:
    enrol(watchlist, "Ada", image_of(1), expires_at=in_days(1))
    enrol(watchlist, "Eve", image_of(2), expires_at=in_days(2))
    enrol(watchlist, "Joan", image_of(3))
    assert watchlist.remove_expired() == ()
    assert watchlist.revision == 3
    assert watchlist.remove_expired(now=in_days(3)) == ("Ada", "Eve")
    assert watchlist.revision == 4
    assert [entry.name for entry in watchlist.entries()] == ["Joan"]


def test_an_expired_entry_needs_a_new_expiry_and_is_no_duplicate(
    watchlist: Watchlist, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(watchlist, "Ada", image_of(1), expires_at=in_days(1))
    monkeypatch.setattr(sqlite_file, "now", lambda: in_days(2))
    with pytest.raises(WatchlistError, match=r"'Ada' expired at .*: give it a new expiry"):
        enrol(watchlist, "Ada", image_of(1, view=1))
    enrol(watchlist, "Eve", image_of(1, view=2))
    assert enrol(watchlist, "Ada", image_of(9), expires_at=in_days(4)).entry.references == 2


def test_a_watchlist_of_another_network_is_refused_naming_both(watchlist: Watchlist, path: Path) -> None:
    with pytest.raises(WatchlistError) as caught:
        open_watchlist(path, model=OTHER_MODEL)
    assert MODEL[:12] in str(caught.value)
    assert OTHER_MODEL[:12] in str(caught.value)
    with pytest.raises(WatchlistError, match=OTHER_MODEL[:12]):
        watchlist.enrol("Ada", image_of(1), detector=DETECTOR, embedder=StandInEmbedder(model=OTHER_MODEL))
    open_watchlist(path, model=MODEL).close()


@pytest.mark.parametrize("content", [b"", b"text, not a database" * 100])
def test_another_kind_of_file_is_no_watchlist(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WatchlistError, match="must be a pylfr watchlist, it is another kind of file"):
        open_watchlist(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_no_watchlist(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE watchlist (x)")
    connection.close()
    with pytest.raises(WatchlistError, match="another kind of file"):
        open_watchlist(path)


def test_a_format_from_the_future_is_refused(watchlist: Watchlist, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(WatchlistError, match="must have format 2, got 3"):
        open_watchlist(path)


def test_a_damaged_template_is_noticed(watchlist: Watchlist, path: Path) -> None:
    enrol(watchlist, "Ada", image_of(1))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE reference_images SET template = zeroblob(length(template))")
    connection.commit()
    connection.close()
    with pytest.raises(WatchlistError, match="damaged: a template is not of unit length"):
        open_gallery(path, model=MODEL)


@pytest.mark.parametrize(
    "damage", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off", None], ids=["empty", "text", "cut", "huge"]
)
def test_a_damaged_portrait_is_black_and_its_entry_is_looked_for_all_the_same(
    watchlist: Watchlist, path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None
) -> None:
    for number, name in enumerate(("Ada", "Eve"), start=1):
        enrol(watchlist, name, image_of(number))
    if damage is None:
        content = io.BytesIO()
        Image.new("RGB", (3000, 3000)).save(content, "JPEG")
        damage = content.getvalue()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE reference_images SET picture = ? WHERE entry = 1", (damage,))
    gallery = open_gallery(path, model=MODEL)
    assert [int(gallery.search(probe_of(number), k=1).entry[0, 0]) for number in (1, 2)] == [1, 2]
    assert gallery.reference(1).name == "Ada"
    assert not gallery.reference(1).picture.any()
    assert gallery.reference(2).picture.any()
    [said] = {record.getMessage() for record in caplog.records}
    assert said.startswith("entry 1 of the watchlist is shown as a black picture: a portrait is damaged")


def test_a_watchlist_that_is_missing_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(WatchlistError, match="does not exist: make it with `pylfr watchlist create"):
        open_watchlist(path)


def test_a_watchlist_that_somebody_else_writes_is_in_use(watchlist: Watchlist, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with open_watchlist(path) as second, pytest.raises(WatchlistError, match="locked by another process"):
        enrol(second, "Ada", image_of(1))
    assert open_gallery(path, model=MODEL).revision == 0, "a reader does not wait for a writer that has not committed"
    other.close()


def test_the_picture_shows_the_face_upright_and_small(watchlist: Watchlist, path: Path) -> None:
    enrol(watchlist, "Ada", image_of(1))
    reference = open_gallery(path, model=MODEL).reference(1)
    assert reference.name == "Ada"
    assert reference.picture.dtype == np.uint8
    assert reference.picture.shape[0] == reference.picture.shape[1] <= 256
    large = StandInDetector(LANDMARKS * 8 + 100)
    watchlist.enrol("Eve", image_of(2, size_px=1100), detector=large, embedder=EMBEDDER, gate=EnrolmentGate.one_face())
    assert open_gallery(path, model=MODEL).reference(2).picture.shape == (256, 256, 3)


def test_the_source_image_is_known_by_its_hash(watchlist: Watchlist, path: Path) -> None:
    watchlist.enrol("Ada", image_of(1), detector=DETECTOR, embedder=EMBEDDER, image_sha256="12" * 32)
    enrol(watchlist, "Eve", image_of(2))
    connection = sqlite3.connect(path)
    hashes = [value for (value,) in connection.execute("SELECT image_sha256 FROM reference_images ORDER BY id")]
    connection.close()
    assert hashes[0] == "12" * 32
    assert len(hashes[1]) == 64


WRITER = """
import sys
from pathlib import Path
from pylfr.gallery.watchlist.watchlist import open_watchlist
from tests.gallery.stand_ins import StandInDetector, StandInEmbedder, image_of

with open_watchlist(Path(sys.argv[1])) as watchlist:
    print("ready", flush=True)
    for person in range(1, 5000):
        watchlist.enrol(f"person {person}", image_of(person), detector=StandInDetector(), embedder=StandInEmbedder())
"""


@pytest.mark.parametrize("after_s", [0.05, 0.21, 0.37])
def test_a_writer_that_is_killed_leaves_the_last_whole_revision(
    watchlist: Watchlist, path: Path, after_s: float
) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(after_s)
        writer.kill()
    gallery = open_gallery(path, model=MODEL)
    entries = watchlist.entries()
    assert gallery.revision == watchlist.revision == len(gallery) == len(entries)
    assert all(entry.references == 1 for entry in entries)
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
    assert enrol(watchlist, "afterwards", image_of(6000)).revision == len(entries) + 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist.watchlist import open_watchlist
from tests.gallery.stand_ins import StandInDetector, StandInEmbedder, image_of

path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9000, resource.RLIM_INFINITY))
with open_watchlist(path) as watchlist:
    detector, embedder = StandInDetector(), StandInEmbedder()
    try:
        for person in range(1, 50):
            watchlist.enrol(f"person {person}", image_of(person), detector=detector, embedder=embedder)
    except WatchlistError as error:
        print(watchlist.revision, error)
"""


def test_a_disk_that_is_full_refuses_the_change_and_keeps_the_list(watchlist: Watchlist, path: Path) -> None:
    enrol(watchlist, "Ada", image_of(9000))
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert "cannot be" in told
    assert "nothing was changed" in told
    gallery = open_gallery(path, model=MODEL)
    assert gallery.revision == watchlist.revision == len(gallery) == int(told.split()[0])


ORIGIN = Origin(source="custody", lawful_basis="s. 64A PACE", captured_on=date(2025, 3, 1), proposed_by="DC D. Example")


@pytest.fixture
def policed(tmp_path: Path) -> Iterator[Watchlist]:
    with create_watchlist(tmp_path / "policed.watchlist", EMBEDDER, profile="uk-police") as made:
        yield made


def propose(watchlist: Watchlist, name: str = "REF-1", *, origin: Origin | None = ORIGIN) -> Enrolment:
    return watchlist.enrol(
        name,
        image_of(1),
        detector=DETECTOR,
        embedder=EMBEDDER,
        category="wanted on warrant",
        justification="warrant 7",
        origin=origin,
    )


def test_under_a_policy_an_enrolment_says_everything_or_is_refused_by_name(policed: Watchlist) -> None:
    with pytest.raises(EnrolmentError, match=r"'REF-1' lacks source; lawful basis; capture date; who proposes it: uk-"):
        propose(policed, origin=None)
    with pytest.raises(EnrolmentError, match=r"lacks a category that is one of .* \(got 'none'\); a justification"):
        policed.enrol("REF-1", image_of(1), detector=DETECTOR, embedder=EMBEDDER, origin=ORIGIN)
    assert policed.entries() == ()
    assert propose(policed).entry.references == 1


def test_another_person_reviews_and_the_digest_says_so(policed: Watchlist) -> None:
    propose(policed)
    before = read_contents(policed.path)
    with pytest.raises(EnrolmentError, match="wants another person"):
        policed.review("REF-1", by=" dc d. EXAMPLE ", deployment="Square")
    with pytest.raises(WatchlistError, match="no entry 'REF-2': the nearest are REF-1"):
        policed.review("REF-2", by="Insp. E. Example", deployment="Square")
    assert policed.review("REF-1", by="Insp. E. Example", deployment="Square") == 1
    [reference] = policed.references("REF-1")
    assert reference.origin == ORIGIN
    assert reference.review is not None
    assert (reference.review.by, reference.review.deployment) == ("Insp. E. Example", "Square")
    assert policed.entries()[0].reviewed == 1
    assert read_contents(policed.path).digest != before.digest


def test_an_image_that_is_added_later_waits_for_a_review_of_its_own(policed: Watchlist) -> None:
    propose(policed)
    policed.review("REF-1", by="Insp. E. Example", deployment="Square")
    policed.enrol("REF-1", image_of(1, view=1), detector=DETECTOR, embedder=EMBEDDER, origin=ORIGIN)
    assert [each.review is not None for each in policed.references("REF-1")] == [True, False]


def test_a_copy_for_another_deployment_waits_for_review_again(policed: Watchlist, tmp_path: Path) -> None:
    propose(policed)
    policed.review("REF-1", by="Insp. E. Example", deployment="Square")
    assert policed.copy_to(tmp_path / "next.watchlist", by="DC F. Example") == 1
    with open_watchlist(tmp_path / "next.watchlist") as copied:
        [reference] = copied.references("REF-1")
        assert (reference.review, reference.origin.proposed_by) == (None, "DC F. Example")
        assert (copied.profile, copied.model, copied.revision) == ("uk-police", MODEL, 1)
        assert open_gallery(copied.path, model=MODEL).search(probe_of(1), 1).entry.tolist() == [[1]]
    assert read_contents(tmp_path / "next.watchlist").digest != read_contents(policed.path).digest
    with pytest.raises(WatchlistError, match="exists already"):
        policed.copy_to(tmp_path / "next.watchlist", by="DC F. Example")


def test_who_has_expired_is_not_carried_over(
    watchlist: Watchlist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(watchlist, "Ada", image_of(1), expires_at=in_days(1))
    monkeypatch.setattr(sqlite_file, "now", lambda: in_days(2))
    assert watchlist.copy_to(tmp_path / "next.watchlist", by="me") == 0


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="profile must be one of"):
        create_watchlist(tmp_path / "x.watchlist", EMBEDDER, profile="anywhere")
    assert not (tmp_path / "x.watchlist").exists()


def test_a_watchlist_of_the_first_format_is_refused_and_upgraded_on_demand(watchlist: Watchlist, path: Path) -> None:
    enrol(watchlist, "Ada", image_of(1))
    watchlist.close()
    connection = sqlite3.connect(path, isolation_level=None)
    for column in (
        "source",
        "lawful_basis",
        "captured_on",
        "proposed_by",
        "reviewed_by",
        "reviewed_for",
        "reviewed_at",
    ):
        connection.execute(f"ALTER TABLE reference_images DROP COLUMN {column}")
    connection.execute("ALTER TABLE watchlist DROP COLUMN profile")
    connection.execute("DROP TABLE withdrawn")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(WatchlistError, match=r"has format 1, which does not say where .* `pylfr watchlist upgrade"):
        open_watchlist(path)
    assert sqlite_file.upgrade(path) == 1
    with open_watchlist(path) as opened:
        [reference] = opened.references("Ada")
        assert (reference.origin, reference.review, opened.revision) == (Origin(), None, 2)
    assert sqlite_file.upgrade(path) == sqlite_file.FORMAT_VERSION
    gallery = open_gallery(path, model=MODEL)
    assert gallery.search(probe_of(1), 1).entry.tolist() == [[1]]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (
            "CREATE TRIGGER keep BEFORE DELETE ON entries BEGIN SELECT raise(IGNORE); END",
            "holds a trigger 'keep' that is not pylfr's",
        ),
        ("CREATE VIEW everybody AS SELECT * FROM entries", "holds a view 'everybody' that is not pylfr's"),
        ("CREATE TABLE copies (template BLOB)", "holds a table 'copies' that is not pylfr's"),
        ("ALTER TABLE entries ADD COLUMN note TEXT", "table 'entries' .* is not as pylfr makes it"),
        ("DROP TABLE withdrawn", "table 'withdrawn' of watchlist .* is missing"),
        ("DROP INDEX reference_images_by_entry", "index 'reference_images_by_entry' .* is missing"),
        (
            "ALTER TABLE entries RENAME TO seen; CREATE VIEW entries AS SELECT * FROM seen",
            "table 'entries' .* is not as pylfr makes it",
        ),
    ],
)
def test_a_file_with_anything_but_pylfrs_own_tables_is_refused(
    statement: str, complaint: str, watchlist: Watchlist, path: Path
) -> None:
    enrol(watchlist, "Ada", image_of(1))
    watchlist.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(statement)
    connection.close()
    with pytest.raises(WatchlistError, match=complaint):
        open_watchlist(path)
    with pytest.raises(WatchlistError, match=complaint):
        read_contents(path, None)


def test_what_is_removed_is_read_back(watchlist: Watchlist) -> None:
    """A trigger that an attacker adds while the file is open keeps nobody on the list unseen."""
    enrol(watchlist, "Ada", image_of(1))
    watchlist._connection.execute(
        "CREATE TEMP TRIGGER keep AFTER DELETE ON main.entries BEGIN"
        " INSERT INTO entries VALUES (old.id, old.name, old.category, old.justification, old.expires_at, old.added_at);"
        " END"
    )
    with pytest.raises(WatchlistError, match=r"entry 1 of watchlist .* cannot be removed: 1 rows are left of it"):
        watchlist.remove("Ada")


def test_a_removal_is_read_back_from_the_file_also_of_those_who_expired(
    watchlist: Watchlist, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file still holds when it is opened anew is not gone."""
    enrol(watchlist, "Ada", image_of(1))
    enrol(watchlist, "Grace", image_of(2), expires_at=sqlite_file.now() + timedelta(hours=1))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(path.with_name("older"))) as copy:
        source.backup(copy)
    monkeypatch.setattr(sqlite_file, "connect", lambda path: sqlite3.connect(path.with_name("older")))
    with pytest.raises(WatchlistError, match=r"entry 1 of watchlist .* cannot be removed: 2 rows are left of it"):
        watchlist.remove("Ada")
    with pytest.raises(WatchlistError, match="entry 2 of watchlist"):
        watchlist.remove_expired(now=sqlite_file.now() + timedelta(hours=2))
