"""pylfr: a live facial recognition engine. An alert is a prompt; a person decides.

    import pylfr

    engine = pylfr.open_engine("deployment.toml")
    for recorded in engine.run():
        print(recorded.value.entry, recorded.value.score)

The stages stand on their own too: ``open_detector``, ``align_faces``, ``open_embedder``, ``open_gallery``.
"""

from pylfr.deployment.open import open_engine, open_rehearsal
from pylfr.engine.alert_policy import AlertRules
from pylfr.engine.engine import Engine
from pylfr.engine.summary import Summary
from pylfr.errors import PylfrError
from pylfr.evaluation.calibration import Threshold
from pylfr.faces.align import align_faces
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
from pylfr.models.store import open_store
from pylfr.types import Alert, Candidates, Faces, Frame, Recorded, Templates
from pylfr.video.decoding.image_io import read_image

__all__ = [
    "Alert",
    "AlertRules",
    "Candidates",
    "Engine",
    "Faces",
    "Frame",
    "PylfrError",
    "Recorded",
    "Summary",
    "Templates",
    "Threshold",
    "align_faces",
    "create_watchlist",
    "open_detector",
    "open_embedder",
    "open_engine",
    "open_gallery",
    "open_rehearsal",
    "open_store",
    "open_watchlist",
    "read_image",
]
