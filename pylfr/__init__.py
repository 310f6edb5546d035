"""pylfr: a live facial recognition engine. An alert is a prompt; a person decides.

    import pylfr

    faces = pylfr.open_face_analysis().get("group.jpg")  # stills: boxes, landmarks, quality, templates
    faces.draw().save("faces.jpg")

    for match in pylfr.find({"Ada": "ada.jpg"}, "walk.mp4"):  # recordings: a rehearsal
        print(match.name, match.at_s, match.score)

    engine = pylfr.open_engine("deployment.toml")  # live cameras: needs an authorisation
    for recorded in engine.run():
        print(recorded.value.entry, recorded.value.score)

Importing pylfr is cheap: each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pylfr.deployment.find import Match, find
    from pylfr.deployment.open import open_engine, open_rehearsal
    from pylfr.engine.alert_policy import AlertRules
    from pylfr.engine.engine import Engine
    from pylfr.engine.summary import Summary
    from pylfr.errors import (
        AdjudicationError,
        AuditError,
        AuthorisationError,
        ConfigError,
        CudaError,
        EnrolmentError,
        LicenceError,
        MediaError,
        ModelError,
        PylfrError,
        SinkError,
        UsageError,
        VaultError,
        WatchlistAwayError,
        WatchlistError,
    )
    from pylfr.evaluation.calibration import Threshold
    from pylfr.faces.align import align_faces
    from pylfr.faces.analysis import AnalysedFace, AnalysedFaces, FaceAnalysis, open_face_analysis
    from pylfr.faces.detect import open_detector
    from pylfr.faces.embed import open_embedder
    from pylfr.gallery.index.reloading import open_gallery
    from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
    from pylfr.models.store import open_store
    from pylfr.types import Alert, Candidates, Faces, Frame, Recorded, Templates
    from pylfr.video.decoding.image_io import read_image

__all__ = [
    "AdjudicationError",
    "Alert",
    "AlertRules",
    "AnalysedFace",
    "AnalysedFaces",
    "AuditError",
    "AuthorisationError",
    "Candidates",
    "ConfigError",
    "CudaError",
    "Engine",
    "EnrolmentError",
    "FaceAnalysis",
    "Faces",
    "Frame",
    "LicenceError",
    "Match",
    "MediaError",
    "ModelError",
    "PylfrError",
    "Recorded",
    "SinkError",
    "Summary",
    "Templates",
    "Threshold",
    "UsageError",
    "VaultError",
    "WatchlistAwayError",
    "WatchlistError",
    "__version__",
    "align_faces",
    "create_watchlist",
    "find",
    "open_detector",
    "open_embedder",
    "open_engine",
    "open_face_analysis",
    "open_gallery",
    "open_rehearsal",
    "open_store",
    "open_watchlist",
    "read_image",
]

# Where a name is defined, for whatever is not an error: the imports above, for the interpreter.
_MODULES = {
    "deployment.find": ("Match", "find"),
    "deployment.open": ("open_engine", "open_rehearsal"),
    "engine.alert_policy": ("AlertRules",),
    "engine.engine": ("Engine",),
    "engine.summary": ("Summary",),
    "evaluation.calibration": ("Threshold",),
    "faces.align": ("align_faces",),
    "faces.analysis": ("AnalysedFace", "AnalysedFaces", "FaceAnalysis", "open_face_analysis"),
    "faces.detect": ("open_detector",),
    "faces.embed": ("open_embedder",),
    "gallery.index.reloading": ("open_gallery",),
    "gallery.watchlist.watchlist": ("create_watchlist", "open_watchlist"),
    "models.store": ("open_store",),
    "types": ("Alert", "Candidates", "Faces", "Frame", "Recorded", "Templates"),
    "video.decoding.image_io": ("read_image",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw it would believe in any name

    def __getattr__(name: str) -> object:
        """Import ``name`` where it is defined (PEP 562), and keep it."""
        if name not in __all__:
            raise AttributeError(f"module 'pylfr' has no attribute {name!r}")
        value: object = getattr(_import_module(f"pylfr.{_MODULE_OF.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if _find_spec("pylfr._core") is None:
    raise ImportError(
        f"pylfr's native core is not built in {__path__[0]}: run `make build` in that source folder, or, if pylfr is "
        "also installed as a package, start Python in another folder"
    )
