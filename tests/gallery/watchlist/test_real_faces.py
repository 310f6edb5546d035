"""Watchlists with real networks and real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import EnrolmentError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.video.decoding.image_io import read_image

# Each has several photographs of one face and no bystander.
PEOPLE = ("Aaron_Peirsol", "Abdullah_Gul", "Abel_Pacheco", "Adel_Al-Jubeir", "Al_Davis")


@pytest.fixture(autouse=True)
def _as_this_machine(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS", str(models_dir))


def photographs(media_dir: Path, person: str) -> list[Path]:
    return sorted((media_dir / "lfw" / person).glob("*.jpg"))


def test_enrolled_people_are_found_by_other_photographs_and_by_their_stored_pictures(
    media_dir: Path, tmp_path: Path
) -> None:
    detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
    path = tmp_path / "people.watchlist"
    with create_watchlist(path, embedder) as watchlist:
        assert watchlist.embedder == "face_reid_0095"
        for person in PEOPLE:
            image = read_image(photographs(media_dir, person)[0])
            watchlist.enrol(person, image, detector=detector, embedder=embedder)
    gallery = open_gallery(path, model=embedder.model)
    for number, person in enumerate(PEOPLE, start=1):
        other = read_image(photographs(media_dir, person)[1])
        stored = gallery.reference(number).picture
        faces = detector.detect([other, stored])
        first = [int(np.flatnonzero(faces.frame_index == index)[0]) for index in (0, 1)]
        probes = embedder.embed(embedder.align([other, stored], faces.select(np.array(first))))
        candidates = gallery.search(probes, 2)
        assert candidates.entry[:, 0].tolist() == [number, number]
        assert candidates.scores[0, 0] > 0.35
        assert candidates.scores[1, 0] > 0.9, "the stored picture shows the face that was enrolled"


def test_a_second_name_for_the_same_face_is_refused_with_its_score(media_dir: Path, tmp_path: Path) -> None:
    detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
    one, other = (read_image(path) for path in photographs(media_dir, "Aaron_Peirsol")[:2])
    with create_watchlist(tmp_path / "people.watchlist", embedder) as watchlist:
        watchlist.enrol("Ada", one, detector=detector, embedder=embedder)
        with pytest.raises(EnrolmentError, match=r"enrolled already as 'Ada': comparison score 0\.[5-9]"):
            watchlist.enrol("Eve", other, detector=detector, embedder=embedder)


def test_poor_photographs_are_refused_with_their_reasons(media_dir: Path, tmp_path: Path) -> None:
    detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
    image = read_image(photographs(media_dir, "Adam_Sandler")[0])
    with create_watchlist(tmp_path / "people.watchlist", embedder) as watchlist:
        for poor, said in (
            (image[::3, ::3], "too small"),
            ((image * 0.08).astype(np.uint8), "too dark|no face"),
            (np.concatenate([image, image], axis=1), "2 faces"),
            (np.full_like(image, 127), "no face"),
        ):
            with pytest.raises(EnrolmentError, match=said):
                watchlist.enrol("Ada", np.ascontiguousarray(poor), detector=detector, embedder=embedder)
        assert watchlist.revision == 0
