"""``watchlist enrol --from``: many people at once, from a table or a folder, with a reason for every row that fails."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from pylfr._internal.csv_table import read_csv
from pylfr._internal.printable import excerpt
from pylfr.cli.console import say, warn
from pylfr.errors import ConfigError, PylfrError
from pylfr.faces.detect import FaceDetector
from pylfr.faces.embed import FaceEmbedder
from pylfr.gallery.watchlist.quality_gate import EnrolmentGate
from pylfr.gallery.watchlist.reference_image import ReferenceImage, prepare_reference
from pylfr.gallery.watchlist.watchlist import Watchlist
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.types import UInt8
from pylfr.video.isolation.client import IsolatedImages

_COLUMNS = ("name", "image", "expires", "category", "justification", "source", "lawful_basis", "captured", "by")
_PICTURES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
)
# Each decodes, finds and embeds one picture at a time; the networks use all cores anyway.
_THREADS = 2
# ada-2.jpg and ada_2.jpg are further pictures of ada.
_NUMBERED = re.compile(r"[-_ ]\d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One reference image that somebody wants on the list; ``where`` names its row or file for messages."""

    where: str
    name: str
    image: Path
    origin: Origin
    expires_at: datetime | None = None
    category: str | None = None
    justification: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnrolment:
    """How many pictures were enrolled, were on the list already, and were refused."""

    enrolled: int
    known: int
    refused: int


def read_proposals(path: Path, common: Proposal) -> list[Proposal]:
    """The rows of a table, or the pictures of a folder; what a row leaves empty is taken from ``common``.

    A table is CSV in UTF-8 with a header: name and image, and any of expires, category, justification, source,
    lawful_basis, captured and by. Images are relative to the table. In a folder, FOLDER/NAME/*.jpg or FOLDER/NAME.jpg.
    Raises ``ConfigError`` for a table without these columns and a folder without pictures.
    """
    found = list(_in_folder(path, common) if path.is_dir() else _in_table(path, common))
    if not found:
        raise ConfigError(f"{path} must hold reference images, got none: see `pylfr watchlist enrol --help`")
    return found


def enrol_all(
    watchlist: Watchlist,
    proposals: Sequence[Proposal],
    *,
    detector: FaceDetector,
    embedder: FaceEmbedder,
    gate: EnrolmentGate,
) -> BatchEnrolment:
    """Enrol every proposal. Refusals are shown with their reasons; what an earlier run has enrolled stays as it is."""
    known = set(watchlist.enrolled_files())
    owners = {digest: name for name, digest in known}
    counts: Counter[str] = Counter()

    def prepare(proposal: Proposal) -> ReferenceImage | None:
        """None where it is enrolled already."""
        digest = _digest(proposal.image)
        if (proposal.name, digest) in known:
            return None
        _require_own_picture(owners, digest, proposal.name)
        return prepare_reference(
            proposal.name,
            images.read(proposal.image),
            detector=detector,
            embedder=embedder,
            gate=gate,
            image_sha256=digest,
        )

    with _ImagesOfThreads() as images, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("enrolling", total=len(proposals))
        for proposal, prepared in _ahead(prepare, proposals):
            progress.advance(task)
            try:
                reference = prepared.result()
                if reference is None or (proposal.name, reference.image_sha256) in known:
                    counts["known"] += 1
                    continue
                _require_own_picture(owners, reference.image_sha256, proposal.name)
                watchlist.add(
                    proposal.name,
                    reference,
                    gate=gate,
                    expires_at=proposal.expires_at,
                    category=proposal.category,
                    justification=proposal.justification,
                    origin=proposal.origin,
                )
            except (PylfrError, ValueError) as error:
                counts["refused"] += 1
                warn("refused", f"{proposal.where}: {error}")
            else:
                counts["enrolled"] += 1
                known.add((proposal.name, reference.image_sha256))
                owners[reference.image_sha256] = proposal.name
    outcome = BatchEnrolment(enrolled=counts["enrolled"], known=counts["known"], refused=counts["refused"])
    say(
        f"{outcome.enrolled} pictures enrolled, {outcome.known} were enrolled before, {outcome.refused} refused; "
        f"revision {watchlist.revision}"
    )
    return outcome


def _ahead(
    prepare: Callable[[Proposal], ReferenceImage | None], proposals: Iterable[Proposal]
) -> Iterator[tuple[Proposal, Future[ReferenceImage | None]]]:
    """Every proposal in order, with what two threads make of it meanwhile; few wait, as each holds a picture."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="enrol") as pool:
        waiting: deque[tuple[Proposal, Future[ReferenceImage | None]]] = deque()
        try:
            for proposal in proposals:
                waiting.append((proposal, pool.submit(prepare, proposal)))
                if len(waiting) > 2 * _THREADS:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _ImagesOfThreads:
    """Reads pictures in isolation, in a confined process for each thread."""

    def __init__(self) -> None:
        self._all = ExitStack()
        self._own = threading.local()

    def __enter__(self) -> _ImagesOfThreads:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def read(self, path: Path) -> UInt8:
        """The picture, uint8 [H, W, 3] RGB. Raises ``MediaError`` where it is none."""
        if not hasattr(self._own, "images"):
            self._own.images = self._all.enter_context(IsolatedImages())
        images: IsolatedImages = self._own.images
        return images.read(path)


def _require_own_picture(owners: Mapping[str, str], digest: str, name: str) -> None:
    if digest in owners and owners[digest] != name:
        raise ConfigError(f"the same file is enrolled as {owners[digest]!r}: two people cannot share a picture")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"image {path} cannot be read: {error.strerror}; check the path") from error


def _in_folder(folder: Path, common: Proposal) -> Iterator[Proposal]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _PICTURES or not path.is_file():
            continue
        inside = path.relative_to(folder)
        name = inside.parts[0] if len(inside.parts) > 1 else _NUMBERED.sub("", path.stem)
        yield replace(common, where=str(inside), name=name, image=path)


def _in_table(path: Path, common: Proposal) -> Iterator[Proposal]:
    table = read_csv(path, ConfigError, what="the table")
    columns = table.columns
    unknown = [column for column in columns if column not in _COLUMNS]
    if "name" not in columns or "image" not in columns or unknown:
        raise ConfigError(
            f"{path} must have the columns name and image, and no others than {', '.join(_COLUMNS)}; got "
            f"{excerpt(', '.join(columns)) or 'none'}"
        )
    for row in table.rows:
        given = {column: cell or None for column, cell in row.cells.items()}
        yield _proposal(f"{path.name} line {row.line}", path.parent, given, common)


def _proposal(where: str, folder: Path, given: dict[str, str | None], common: Proposal) -> Proposal:
    try:
        expires, captured = given.get("expires"), given.get("captured")
        origin = common.origin
        return replace(
            common,
            where=where,
            name=given.get("name") or "",
            image=folder / (given.get("image") or ""),
            expires_at=common.expires_at if expires is None else _zoned(datetime.fromisoformat(expires)),
            category=given.get("category") or common.category,
            justification=given.get("justification") or common.justification,
            origin=Origin(
                source=given.get("source") or origin.source,
                lawful_basis=given.get("lawful_basis") or origin.lawful_basis,
                captured_on=origin.captured_on if captured is None else date.fromisoformat(captured),
                proposed_by=given.get("by") or origin.proposed_by,
            ),
        )
    except ValueError as error:
        raise ConfigError(f"{where}: {excerpt(str(error), 200)}") from error


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
