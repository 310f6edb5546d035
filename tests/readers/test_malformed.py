"""Whatever a file holds, its reader gives its value or one error of ours: never a traceback of another kind, no hang.

``PYLFR_FUZZ_EXAMPLES`` sets how many inputs each reader is given; ``make fuzz`` goes on for hours.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylfr._internal.strict_json import parse_json
from pylfr.cluster.envelope import put_in, take_out
from pylfr.cluster.messages import Joining, LogPoint
from pylfr.cluster.packed_alert import pack_alert, unpack_alert
from pylfr.errors import PylfrError
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.governance.audit.chain import parse_checkpoint, parse_entry
from pylfr.governance.audit.receiver import parse_head
from pylfr.governance.keys.keys import PublicKey
from pylfr.video.isolation.wire import parse_message
from tests.governance.security_key import SecurityKey
from tests.open_files import nothing_left_open
from tests.readers.damage import NASTY, damaged
from tests.readers.readers import READERS, attack, folder_name, make_whole, read_watchlist
from tests.samples import sample_alert

EXAMPLES = int(os.environ.get("PYLFR_FUZZ_EXAMPLES", "40"))
CORPUS = Path(__file__).parent / "corpus"

_JOINING = Joining(capacity=1, log_key="k", log=LogPoint(sequence=1, digest="d"))
_KEY = SecurityKey()


def _verified(content: bytes) -> None:
    """Whether it verifies is said, and never raised."""
    assert _KEY.public.verifies(b"what is signed", content.decode()) in (True, False)


# What machines, processes and browsers of one deployment send each other.
MESSAGES: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "a packed alert": (pack_alert(sample_alert()), unpack_alert),
    "a message": (put_in(_JOINING, [b"an alert"]), lambda content: take_out(Joining, content)),
    "an assertion of a security key": (_KEY.sign(b"what is signed").encode(), _verified),
    "a message of a decoder": (b'{"asks":"report","kind":"opened"}', parse_message),
}

examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES <= 1000,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readers")
    make_whole(made)
    return made


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(name: str, folder: Path, tmp_path: Path) -> None:
    if name == "aggregates":
        pytest.skip("a certificate takes its place: only its refusal is of interest")
    path = tmp_path / READERS[name].file
    path.write_bytes((folder / READERS[name].whole).read_bytes())
    path.chmod(0o600)
    READERS[name].read(path, folder)


@pytest.mark.parametrize("name", READERS)
def test_a_malformed_file_is_read_or_refused_in_one_error_that_names_it(
    name: str, folder: Path, tmp_path: Path
) -> None:
    reader = READERS[name]

    @examples
    @given(damaged((folder / reader.whole).read_bytes()))
    def damage(content: bytes) -> None:
        attack(reader, content, tmp_path, folder)

    damage()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_reader_once_is_read_or_refused(path: Path, folder: Path, tmp_path: Path) -> None:
    [reader] = [READERS[name] for name in READERS if folder_name(name) == path.parent.name]
    attack(reader, path.read_bytes(), tmp_path, folder)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing", "empty"])
def test_what_is_no_file_is_refused_without_waiting(name: str, kind: str, folder: Path, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / reader.file
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "empty":
        path.touch(0o600)
    with nothing_left_open(), suppress(PylfrError):
        reader.read(path, folder)


@pytest.mark.parametrize(
    "parse", [parse_json, parse_entry, parse_checkpoint, parse_head, lambda line: PublicKey.parse(line.decode())]
)
def test_a_malformed_line_is_a_value_error(parse: Callable[[bytes], object], folder: Path) -> None:
    @settings(examples, max_examples=4 * EXAMPLES)
    @given(
        st.sampled_from(
            [
                *(folder / "log").read_bytes().splitlines(),
                *(folder / "checkpoints").read_bytes().splitlines(),
                *(folder / "officer.pub").read_bytes().splitlines(),
            ]
        ).flatmap(damaged)
    )
    def damage(content: bytes) -> None:
        try:
            parse(content)
        except ValueError as error:
            assert len(str(error)) < 1000  # noqa: PT017 - any other kind of error fails

    damage()


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_malformed_message_is_a_value_error(kind: str) -> None:
    whole, parse = MESSAGES[kind]
    parse(whole)

    @settings(examples, max_examples=4 * EXAMPLES)
    @given(damaged(whole))
    def damage(content: bytes) -> None:
        with suppress(ValueError):
            parse(content)

    damage()


@pytest.mark.parametrize("table", ["watchlist", "entries", "reference_images", "withdrawn"])
def test_a_watchlist_with_wrong_values_is_read_or_refused(table: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "attacked.file"
    with closing(sqlite3.connect(folder / "list")) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    value = st.one_of(
        st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=40), st.text(max_size=20),
        st.sampled_from([each.decode("utf-8", "replace") for each in NASTY]),
    )  # fmt: skip

    @examples
    @given(st.dictionaries(st.sampled_from(columns), value, min_size=1, max_size=3))
    def damage(values: dict[str, object]) -> None:
        path.write_bytes((folder / "list").read_bytes())
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("INSERT INTO withdrawn VALUES ('x', '2026-01-01T00:00:00+00:00')")
            for column, new in values.items():
                with suppress(sqlite3.Error, UnicodeEncodeError, OverflowError):
                    connection.execute(f"UPDATE {table} SET {column} = ?", (new,))
        try:
            read_watchlist(path)
        except PylfrError as error:
            assert "attacked" in str(error)  # noqa: PT017 - any other kind of error fails

    damage()


def test_a_damaged_database_is_never_written_to_by_reading_it(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    content = bytearray((folder / "list").read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)
    with suppress(PylfrError), closing(open_watchlist(path)) as opened:
        opened.entries()
    assert path.read_bytes() == bytes(content)
