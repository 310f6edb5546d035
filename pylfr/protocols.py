"""Every extension point of pylfr: what a source, a runtime, a detector, an embedder, a gallery and a sink must do.

Each has at least two implementations, except ``AheadDetector`` and ``DeviceGallery``: they are what the stages on a
device can do in addition, and the engine uses it where a stage has it. Any object that fits a protocol can be passed to
the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from pylfr.ops import Stream, Tensor
from pylfr.types import Alert, Candidates, Device, Event, Faces, Float32, Frame, Recorded, Reference, Templates, UInt8


class Source(Protocol):
    """One camera. ``frames`` blocks in the decoder and runs on a thread of its own."""

    @property
    def camera(self) -> str: ...

    @property
    def is_live(self) -> bool:
        """Whether frames arrive regardless of demand; then the newest frames replace older ones."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Frames until the end. Raises ``MediaError`` if the stream cannot be read, or ends too early."""
        ...

    def close(self) -> None:
        """Stop: a running or later ``frames`` ends soon. May be called from any thread, more than once."""
        ...


class Runtime(Protocol):
    """Runs one network on one device. Threads may share it."""

    @property
    def device(self) -> Device: ...

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        """Output names in the network's order, each with its shape; None for a side that depends on the input."""
        ...

    def run(self, tensor: Float32) -> dict[str, Float32]:
        """All outputs by name for ``tensor``, float32 [B, 3, H, W]."""
        ...

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        """Write one output, float32 [B, D], straight into ``out``; no other copy of the result remains."""
        ...


@runtime_checkable
class DeviceRuntime(Protocol):
    """Runs one network on tensors of its own device: no data of a batch passes through the host.

    A runtime may be this and a ``Runtime`` at once. Threads may share it.
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

        All tensors are float32, row-major, on this runtime's device, and must not change until the stream has passed.
        Any other memory that held an output is overwritten in the order of the stream, so that no copy of a template
        remains. Returns without waiting. Raises ``ValueError`` for shapes that do not match.
        """
        ...


@runtime_checkable
class TakesHalves(Protocol):
    """A ``DeviceRuntime`` that may be given float16 [B, H, W, 3]: pictures as its network computes with them."""

    @property
    def takes_halves(self) -> bool: ...


class Detector(Protocol):
    """Finds faces in frames of any sizes. Threads may share it."""

    @property
    def model(self) -> str:
        """sha256 of the network."""
        ...

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """The faces of all images, image by image, best first; arrays are uint8 [H, W, 3] RGB."""
        ...


@runtime_checkable
class AheadDetector(Detector, Protocol):
    """A detector that works in the background while its caller continues."""

    def begin(self, images: Sequence[Frame | UInt8]) -> Callable[[], Faces]:
        """Queue the work of ``detect`` and return without waiting; the returned function waits for the faces.

        A second batch may begin before the first one's faces are collected; they are collected in that order.
        """
        ...


class Embedder(Protocol):
    """Computes templates of aligned crops. Threads may share it."""

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
        """The positions of the five landmarks in a crop: float32 [5, 2], pixels."""
        ...

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        """Network-ready crops, float32 [N, 3, side_px, side_px], sampled straight from the frames' planes."""
        ...

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        """Templates of the crops, float32 [N, D] of unit length, in ``out`` if that is given."""
        ...


class Gallery(Protocol):
    """An immutable search structure over one revision of a watchlist. Safe for concurrent searches."""

    @property
    def model(self) -> str:
        """sha256 of the embedder that made the templates."""
        ...

    @property
    def revision(self) -> int: ...

    def __len__(self) -> int:
        """The number of reference templates."""
        ...

    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe. Raises ``WatchlistError`` for probes of a different model."""
        ...

    def reference(self, entry: int) -> Reference:
        """The part of an entry that may be shown. Raises ``KeyError`` for an unknown number."""
        ...


@runtime_checkable
class DeviceGallery(Gallery, Protocol):
    """A gallery that also searches with probes on its device: only scores and entries leave it."""

    def search_on(self, probes: Tensor, *, model: str, k: int) -> Candidates:
        """As ``search``, for float32 [N, D] of the network ``model``; waits for the stream of ``probes``."""
        ...


class GallerySource(Protocol):
    """Provides the gallery of the watchlist's newest revision; entries are added and removed without a restart."""

    def snapshot(self) -> Gallery:
        """The newest revision that can be had. Raises ``WatchlistError`` where going on would be worse than to stop."""
        ...

    def refresh(self) -> None:
        """Check for a newer revision now. Raises as ``snapshot``."""
        ...

    @property
    def trouble(self) -> str:
        """Why ``snapshot`` gives an earlier revision for now; "" where it gives the newest."""
        ...

    def close(self) -> None: ...


class Sink(Protocol):
    """A destination of recorded alerts."""

    def send(self, recorded: Recorded[Alert]) -> None:
        """Deliver, or put into a bounded queue. Raises ``SinkError`` if the alert would be lost."""
        ...

    def close(self) -> None:
        """Deliver what is queued, within a bounded time. Raises ``SinkError`` naming what was not delivered."""
        ...


class Audit(Protocol):
    """The log that an alert enters before anybody sees it."""

    def record(self, alert: Alert) -> Recorded[Alert]:
        """Record ``alert`` permanently. Raises ``AuditError`` if that fails: then it must not be shown."""
        ...

    def note(self, event: Event) -> None:
        """Record another event. Raises ``AuditError`` if that fails."""
        ...

    def close(self) -> None: ...


class Ceiling(Protocol):
    """Decides whether a run causes too many false alerts to continue."""

    def require(self, faces_seen: int) -> None:
        """Raise ``AuthorisationError`` if too many alerts of this run turned out to be false."""
        ...


class Authority(Protocol):
    """Decides whether recognition may happen here and now."""

    @property
    def reference(self) -> str:
        """The name by which alerts and reports refer to it; "rehearsal" for a rehearsal."""
        ...

    @property
    def ends_at(self) -> datetime | None:
        """When recognition must stop; None for a rehearsal on recorded material."""
        ...

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        """Raise ``AuthorisationError`` unless these cameras may be watched in all of this span."""
        ...
