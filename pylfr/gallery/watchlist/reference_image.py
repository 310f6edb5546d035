"""One reference image: ready to be enrolled, and stored in an open watchlist."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from pylfr import ops
from pylfr.errors import EnrolmentError, WatchlistError
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.portrait import encode_jpeg, portrait
from pylfr.gallery.watchlist.quality_gate import BlockStructure, EnrolmentGate, ReferenceQuality, coarser
from pylfr.governance.authorisation.enrolment import Origin
from pylfr.protocols import Detector, Embedder
from pylfr.types import Faces, Float32, Frame, UInt8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceImage:
    """A face that is ready to be enrolled: its template float32 [1, D], its picture as a JPEG, its measures.

    ``model`` is the sha256 of the network that made the template, ``image_sha256`` that of the file.
    """

    model: str
    template: Float32
    picture: bytes
    quality: ReferenceQuality
    image_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFaces:
    """The faces that a detector finds in a picture, uint8 [H, W, 3] RGB."""

    image: UInt8
    frame: Frame
    faces: Faces

    @property
    def count(self) -> int:
        return len(self.faces)

    def qualities(self) -> list[ReferenceQuality]:
        """The measures of each face."""
        return [
            ReferenceQuality.of(row, BlockStructure.of(self.image, box))
            for row, box in zip(ops.measure_quality([self.frame], self.faces), self.faces.boxes, strict=True)
        ]


def find_faces(name: str, image: UInt8, detector: Detector) -> FoundFaces:
    """The faces of ``name``'s picture; where there is none, the one that shows with a margin around the picture."""
    frame = Frame.still(image)
    faces = detector.detect([frame])
    if not len(faces):
        # Detectors know faces with something around them.
        padded = _with_margin(image)
        frame_padded = Frame.still(padded)
        found = detector.detect([frame_padded])
        if len(found) == 1:
            log.warning(
                "the face of %r fills its picture edge to edge: it was found with a margin around it only; a wider "
                "crop of the photograph is better",
                name,
            )
            return FoundFaces(image=padded, frame=frame_padded, faces=found)
    return FoundFaces(image=image, frame=frame, faces=faces)


def prepare_reference(
    name: str, image: UInt8, *, detector: Detector, embedder: Embedder, gate: EnrolmentGate, image_sha256: str
) -> ReferenceImage:
    """The one face of ``name``'s picture, uint8 [H, W, 3] RGB, ready to be enrolled. Threads may prepare several.

    Raises ``EnrolmentError`` where it shows none or several; ``gate`` says whether its agreement is measured too.
    """
    found = find_faces(name, image, detector)
    if found.count != 1:
        raise refused(name, gate.check(found.qualities(), None))
    crops = embedder.align([found.frame], found.faces)
    if gate.agreement is not None:
        crops = np.concatenate([crops, coarser(crops, embedder.landmark_template)])
    templates = embedder.embed(crops).vectors
    (quality,) = found.qualities()
    picture = portrait(
        found.frame, found.faces.landmarks[0], embedder.landmark_template, template_side_px=embedder.side_px
    )
    return ReferenceImage(
        model=embedder.model,
        template=templates[:1],
        picture=encode_jpeg(picture),
        quality=replace(quality, agreement=float(templates[0] @ templates[-1])),
        image_sha256=image_sha256,
    )


def refused(name: str, reasons: Sequence[str]) -> EnrolmentError:
    """The error that an image cannot be ``name``'s, with every reason."""
    return EnrolmentError(f"the image was refused for {name!r}: {'; '.join(reasons)}")


def _with_margin(image: UInt8) -> UInt8:
    """A picture, uint8 [H, W, 3], in the middle of one of twice its sides, of its mean colour."""
    height, width = image.shape[:2]
    made = np.empty((2 * height, 2 * width, 3), np.uint8)
    made[:] = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    made[height // 2 : height // 2 + height, width // 2 : width // 2 + width] = image
    return made


def upsert_entry(
    connection: sqlite3.Connection,
    name: str,
    expires_at: datetime | None,
    category: str | None,
    justification: str | None,
) -> int:
    """The number of the entry of that name, made where it is new; what is given replaces what it had.

    Raises ``WatchlistError`` where it has expired and gets no new expiry.
    """
    moment = sqlite_file.now()
    until = sqlite_file.to_text(expires_at) if expires_at is not None else None
    row = connection.execute("SELECT id, expires_at FROM entries WHERE name = ?", (name,)).fetchone()
    if row is None:
        added = connection.execute(
            "INSERT INTO entries (name, category, justification, expires_at, added_at) VALUES (?, ?, ?, ?, ?)",
            (name, category, justification, until, sqlite_file.to_text(moment)),
        )
        return int(added.lastrowid or 0)
    number, expired_at = int(row[0]), row[1]
    if until is None and expired_at is not None and sqlite_file.to_time(expired_at) <= moment:
        raise WatchlistError(
            f"entry {name!r} expired at {expired_at}: give it a new expiry, or remove it and enrol anew"
        )
    connection.execute(
        "UPDATE entries SET expires_at = coalesce(?, expires_at), category = coalesce(?, category),"
        " justification = coalesce(?, justification) WHERE id = ?",
        (until, category, justification, number),
    )
    return number


def insert_reference(connection: sqlite3.Connection, number: int, reference: ReferenceImage, origin: Origin) -> None:
    """Store a reference image under the entry with that number; nobody has reviewed it yet."""
    quality = reference.quality
    connection.execute(
        "INSERT INTO reference_images (entry, template, picture, sharpness, interocular_px, yaw, pitch, roll,"
        " brightness, contrast, image_sha256, added_at, source, lawful_basis, captured_on, proposed_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            reference.template.astype("<f4").tobytes(),
            reference.picture,
            quality.sharpness,
            quality.interocular_px,
            quality.yaw,
            quality.pitch,
            quality.roll,
            quality.brightness,
            quality.contrast,
            reference.image_sha256,
            sqlite_file.to_text(sqlite_file.now()),
            origin.source,
            origin.lawful_basis,
            origin.captured_on.isoformat() if origin.captured_on is not None else None,
            origin.proposed_by,
        ),
    )
