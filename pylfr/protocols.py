"""Every plug of pylfr on one page: what a source, a runtime, a detector, an embedder, a gallery and a sink must do.

Each has at least two implementations; anything that fits the protocol can be handed to the engine in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from pylfr.ops import Stream, Tensor
from pylfr.types import Alert, Candidates, Device, Event, Faces, Float32, Frame, Recorded, Reference, Templates, UInt8


class Source(Protocol):
    """One camera. ``frames`` blocks in the decoder and is run by one thread of its own."""

    @property
    def camera(self) -> str: ...

    @property
    def is_live(self) -> bool:
        """Whether frames keep coming whether or not anybody takes them (then the newest frames win)."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Frames until the end. Raises ``MediaError`` where the picture cannot be had or ends too early."""
        ...

    def close(self) -> None:
        """Stop: a blocked or later ``frames`` ends soon. May be called from any thread, more than once."""
        ...


class Runtime(Protocol):
    """Runs one network on one device."""

    @property
    def device(self) -> Device: ...

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        """Output names in the network's order, each with its shape; None where it depends on the input."""
        ...

    def run(self, tensor: Float32) -> dict[str, Float32]:
        """All outputs by name for ``tensor``, float32 [B, 3, H, W]."""
        ...

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        """Write one output, float32 [B, D], straight into ``out``: nothing else of the result is kept."""
        ...


@runtime_checkable
class DeviceRuntime(Protocol):
    """Runs one network on tensors that lie where it runs: nothing of a batch passes through the host.

    A runtime may be this and a ``Runtime`` at once. One thread at a time.
    """

    @property
    def device(self) -> Device: ...

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        """As ``Runtime.outputs``."""
        ...

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """The shape of every output, in the network's order, for an input of ``shape`` [B, 3, H, W]."""
        ...

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        """Queue the network on ``stream``: float32 [B, 3, H, W] in, every output named in ``outputs`` written there.

        All tensors are float32, row-major, on this runtime's device, and stay untouched until the stream has passed.
        Other memory that an output went through is overwritten before this returns to the order of the stream, so that
        no copy of a template stays behind. Returns without waiting. Raises ``ValueError`` for shapes that do not fit.
        """
        ...


class Detector(Protocol):
    """Finds faces in frames of any sizes."""

    @property
    def model(self) -> str:
        """sha256 of the network."""
        ...

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """Faces of all images, of each image the best first; arrays are uint8 [H, W, 3] RGB."""
        ...


@runtime_checkable
class AheadDetector(Detector, Protocol):
    """A detector that works by itself, while its caller does something else."""

    def begin(self, images: Sequence[Frame | UInt8]) -> Callable[[], Faces]:
        """Queue what ``detect`` does, and return without waiting; what is returned waits for the faces.

        A second batch may begin before the first one's faces were asked for; they are asked for in that order.
        """
        ...


class Embedder(Protocol):
    """Turns aligned crops into templates."""

    @property
    def model(self) -> str:
        """sha256 of the network."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def side_px(self) -> int: ...

    @property
    def landmark_template(self) -> Float32:
        """Where the five landmarks belong in a crop: float32 [5, 2], pixels."""
        ...

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        """Network-ready crops, float32 [N, 3, side_px, side_px], sampled straight from the frames' planes."""
        ...

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        """Templates of the crops, float32 [N, D] of unit length, in ``out`` where it is given."""
        ...


class Gallery(Protocol):
    """An immutable search structure over one revision of a watchlist. Safe for concurrent searches."""

    @property
    def model(self) -> str:
        """sha256 of the embedder whose templates these are."""
        ...

    @property
    def revision(self) -> int: ...

    def __len__(self) -> int:
        """The number of reference templates."""
        ...

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe. Raises ``WatchlistError`` for probes of another model."""
        ...

    def reference(self, entry: int) -> Reference:
        """What may be shown of an entry. Raises ``KeyError`` where there is none of that number."""
        ...


@runtime_checkable
class DeviceGallery(Gallery, Protocol):
    """A gallery that also searches with probes that lie on its device: only scores and entries leave it."""

    def search_on(self, probes: Tensor, *, model: str, k: int) -> Candidates:
        """As ``search``, for float32 [N, D] of the network ``model``; waits for the stream of ``probes``."""
        ...


class GallerySource(Protocol):
    """Gives the gallery of the watchlist's newest revision; entries come and go without a restart."""

    def snapshot(self) -> Gallery: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Somewhere that recorded alerts go."""

    def send(self, recorded: Recorded[Alert]) -> None:
        """Deliver, or take into a bounded queue of its own. Raises ``SinkError`` where the alert would be lost."""
        ...

    def close(self) -> None:
        """Deliver what is queued, within a bounded time. Raises ``SinkError`` saying what was not delivered."""
        ...


class Audit(Protocol):
    """The record that an alert enters before anybody sees it."""

    def record(self, alert: Alert) -> Recorded[Alert]:
        """Write ``alert`` down for good. Raises ``AuditError`` where that fails: then it must not be shown."""
        ...

    def note(self, event: Event) -> None:
        """Write down something else that happened. Raises ``AuditError`` where that fails."""
        ...

    def close(self) -> None: ...


class Ceiling(Protocol):
    """Says whether a run does too much harm to go on."""

    def require(self, faces_seen: int) -> None:
        """Raise ``AuthorisationError`` where too many alerts of this run turned out to be false."""
        ...


class Authority(Protocol):
    """Says whether recognition may happen here and now."""

    @property
    def reference(self) -> str:
        """The name by which alerts and reports refer to it; "rehearsal" where it is one."""
        ...

    @property
    def ends_at(self) -> datetime | None:
        """When recognition must stop by itself; None for a rehearsal on recorded material."""
        ...

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        """Raise ``AuthorisationError`` unless these cameras may be watched in all of this span."""
        ...
