"""What decodes each camera, in words: for the log, the record and the report."""

from __future__ import annotations

from collections.abc import Sequence

from pylfr.protocols import Source
from pylfr.video.isolation.client import IsolatedFile
from pylfr.video.isolation.sandbox import HELD
from pylfr.video.sources.file import FileSource
from pylfr.video.sources.live import LiveSource
from pylfr.video.sources.replay_detection import ScrutinisedSource
from pylfr.video.sources.zone import ZonedSource


def decoding_of(sources: Sequence[Source]) -> str:
    """Where pictures are decoded. A source that could not be opened is not among ``sources``."""
    isolated = sum(isinstance(_whole(source), IsolatedFile) for source in sources)
    if isolated == len(sources):
        return f"isolated: each camera by {HELD}"
    on_gpu = sum(decoded_by(source) == "NVDEC" for source in sources)
    words = f"isolated for {isolated} of {len(sources)} cameras; the others in this process"
    return f"{words}, {on_gpu} of them by NVDEC" if on_gpu else words


def decoded_by(source: Source) -> str:
    """CPU, or NVDEC; a source of somebody else's making has its own way."""
    bare = _whole(source)
    if isinstance(bare, FileSource | LiveSource):
        return bare.decoder
    return "CPU" if isinstance(bare, IsolatedFile) else "its own source"


def _whole(source: Source) -> Source:
    while isinstance(source, ZonedSource | ScrutinisedSource):
        source = source.whole
    return source
