"""Files of unknown origin, decoded by a confined process: a recording as a camera, a picture as an array.

The process opens no file and no socket (``pylfr.video.isolation.sandbox``); it is handed one open file and writes
pictures into memory that is shared with it and mapped read-only here. Nothing that it says is believed without a
check.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import mmap
import os
import resource
import socket
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from pylfr.errors import MediaError
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.container import open_descriptor
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.image_io import closing_descriptor, open_picture
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.isolation.wire import MESSAGE_BYTES, Job, PictureShape, parse_message, plain
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.file import Pace
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver

log = logging.getLogger(__name__)

# A decoder that says nothing for so long hangs: the slowest picture that is taken needs a fraction of it.
PATIENCE_S = 20.0

# A process that has closed its side is at its end: killed at once, it could not say how it ended.
_LAST_BREATH_S = 2.0

# More frames than a month of the fastest camera holds.
_MOST_SKIPPED = 1_000_000_000

# The decoding half of the package alone: the other half takes a second to import, and is none of its business.
_START = """
import sys, types
sys.path[:] = {path!r}
package = types.ModuleType("pylfr")
package.__path__ = {package!r}
sys.modules["pylfr"] = package
import socket
from pylfr.video.isolation.worker import main
main(socket.socket(fileno={channel}), parent={parent})
"""


def read_image_isolated(path: Path | str) -> UInt8:
    """As ``read_image`` of ``pylfr.video.decoding.image_io``, in a confined process that is started for it alone.

    Raises ``MediaError`` also where that process hangs, is killed, or cannot be isolated here.
    """
    with (
        closing_descriptor(open_picture(path)) as descriptor,
        Decoder(Job(kind="image", name=f"image {path}"), descriptor) as decoder,
    ):
        return _only_picture(decoder)


class IsolatedImages:
    """Reads many pictures as ``read_image_isolated`` does, in one confined process: ten times as fast.

    A context manager; one thread at a time. A picture that is refused costs a new process.
    """

    def __init__(self) -> None:
        self._decoder: Decoder | None = None

    def __enter__(self) -> IsolatedImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def read(self, path: Path | str) -> UInt8:
        """The picture, uint8 [H, W, 3] RGB. Raises ``MediaError`` as ``read_image_isolated`` does."""
        job = Job(kind="images", name=f"image {path}")
        with closing_descriptor(open_picture(path)) as descriptor:
            if self._decoder is None:
                self._decoder = Decoder(job, descriptor).__enter__()
            else:
                self._decoder.go_on(job, descriptor)
            try:
                return _only_picture(self._decoder)
            except MediaError:
                self._drop()
                raise

    def _drop(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.__exit__(None, None, None)


def _only_picture(decoder: Decoder) -> UInt8:
    picture: UInt8 | None = None
    for message in decoder.messages():
        if message["asks"] != "room" or picture is not None:
            raise decoder.nonsense(message)
        picture = decoder.receive(message)[1][0].copy()
    if picture is None:
        raise MediaError(f"{decoder.name} gave no picture")
    return picture


class IsolatedFile(CameraSource):
    """A recording, decoded elsewhere: a ``WatchedSource`` like ``FileSource``, whose frames it gives.

    Each call of ``frames`` starts a process, which ends with it, and with the thread that called it.
    Made by ``pylfr.video.open.open_file``.
    """

    def __init__(
        self,
        path: Path,
        *,
        camera: str,
        started_at: datetime,
        pace: Pace,
        loop: bool,
        threads: int | Literal["auto"],
        options: PictureOptions = AS_SENT,
        expect: ExpectedStream | None = None,
    ) -> None:
        super().__init__(camera)
        self._path = path
        self._started_at = started_at
        self._pace = pace
        self._loop = loop
        self._threads: int | Literal["auto"] = threads
        self._options = options
        self._expect = expect

    def __repr__(self) -> str:
        return f"IsolatedFile({str(self._path)!r}, camera={self._camera!r})"

    @property
    def is_live(self) -> bool:
        """A recording played in real time comes whether or not anybody takes it."""
        return self._pace == "real-time"

    def check(self) -> None:
        """Open the recording and close it again. Raises ``MediaError`` where it is no video."""
        with self._decoder("check") as decoder:
            for message in decoder.messages():
                raise decoder.nonsense(message)

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until the end. Raises ``MediaError`` after the last one of a damaged recording."""
        if self._closed.is_set():
            return
        with self._decoder("video", rate_hz=watch.rate_hz) as decoder:
            began = time.monotonic()
            sequence = -1
            captured_at = self._started_at
            for message in decoder.messages():
                if self._closed.is_set():
                    return
                match message["asks"]:
                    case "due":
                        sequence += 1
                        captured_at = self._time_of(message["at_us"])
                        due_s = (captured_at - self._started_at).total_seconds()
                        if self._pace == "real-time" and self._closed.wait(max(0.0, began + due_s - time.monotonic())):
                            return
                        decoder.answer(due=watch.is_due(captured_at))
                    case "skipped":
                        count = message["count"]
                        if not isinstance(count, int) or not 0 < count <= _MOST_SKIPPED:
                            raise decoder.nonsense(message)
                        watch.skipped(count)
                        sequence += count
                    case "room":
                        shape, planes = decoder.receive(message)
                        yield Frame(
                            camera=self._camera,
                            sequence=sequence,
                            captured_at=captured_at,
                            planes=planes,
                            layout=shape.layout,
                            matrix=shape.matrix,
                            full_range=shape.full_range,
                        )
                        if self._closed.is_set():
                            return
                    case "event":
                        kind: EventKind = message["kind"] if message["kind"] in get_args(EventKind) else "failed"
                        watch.report(CameraEvent.now(self._camera, kind, plain(message["detail"])))
                    case _:
                        raise decoder.nonsense(message)

    @contextlib.contextmanager
    def _decoder(self, kind: Literal["check", "video"], *, rate_hz: float | None = None) -> Iterator[Decoder]:
        job = Job(
            kind=kind,
            name=str(self._path),
            camera=self._camera,
            loop=self._loop,
            threads=self._threads,
            rate_hz=rate_hz,
            picture=self._options.to_json(),
            expect="" if self._expect is None else str(self._expect),
        )
        with closing_descriptor(open_descriptor(self._path)) as descriptor, Decoder(job, descriptor) as decoder:
            yield decoder

    def _time_of(self, at_us: object) -> datetime:
        try:
            return self._started_at + timedelta(microseconds=int(str(at_us)))
        except (OverflowError, ValueError) as error:
            raise MediaError(f"video {self._path} must hold times of this age, got {at_us!s:.40}: cut it") from error


class Decoder:
    """One decoding process and the memory shared with it. A context manager; at its end the process is dead."""

    def __init__(self, job: Job, descriptor: int) -> None:
        self._job = job
        self._descriptor = descriptor
        self._slots: dict[int, mmap.mmap] = {}
        self._free: deque[int] = deque()
        self._next_slot = 0
        self._is_held = False

    def __enter__(self) -> Decoder:
        self._own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = _START.format(
            path=[folder for folder in sys.path if folder],
            package=[str(Path(folder).absolute()) for folder in sys.modules["pylfr"].__path__],
            channel=theirs.fileno(),
            parent=os.getpid(),
        )
        with theirs:
            self._process = subprocess.Popen(
                # -B: it writes nothing, compiled modules neither.
                [sys.executable, "-I", "-B", "-c", start],
                pass_fds=[theirs.fileno()],
                # No secret of this process is in its environment.
                env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C at a terminal reaches this process alone, which ends that one.
                process_group=0,
            )
        self._own.settimeout(PATIENCE_S)
        self.go_on(self._job, self._descriptor)
        return self

    def go_on(self, job: Job, descriptor: int) -> None:
        """Hand the process its next file; what became of it is heard in ``messages``."""
        self._job = job
        with contextlib.suppress(OSError):
            socket.send_fds(self._own, [json.dumps(dataclasses.asdict(job)).encode()], [descriptor])

    @property
    def name(self) -> str:
        """What it decodes, for messages."""
        return self._job.name

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._own.close()

    @property
    def process(self) -> int:
        """The process's number."""
        return self._process.pid

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """What the process wants, until it is done. Raises ``MediaError`` where it refuses, hangs or dies."""
        while True:
            message = self._hear()
            match message["asks"]:
                case "held":
                    self._is_held = True
                    log.debug("%s is decoded in %s", self._job.name, plain(message.get("how")))
                case "open":
                    raise MediaError(
                        f"{self._job.name} cannot be decoded in isolation on this system ({plain(message['why'])}): "
                        'mend that, or set isolation = "none" in [decode] where you trust what it decodes'
                    )
                case _ if not self._is_held:
                    raise self.nonsense(message)
                case "log":
                    log.warning("%s", plain(message.get("text")))
                case "refuse":
                    raise MediaError(plain(message.get("why")))
                case "end":
                    return
                case _:
                    yield message

    def answer(self, **message: object) -> None:
        """Say something to the process; that it is gone is noticed when it is heard next."""
        with contextlib.suppress(OSError):
            self._own.send(json.dumps(message).encode())

    def receive(self, message: Mapping[str, Any]) -> tuple[PictureShape, tuple[UInt8, ...]]:
        """The picture that the process asks room for: read-only views, whose memory is used again when all are gone."""
        try:
            shape = PictureShape.of(message)
        except ValueError as error:
            raise MediaError(f"{self._job.name}: its decoder offers {error}: the file may be an attack") from error
        sizes = [int(np.prod(each)) for each in shape.plane_shapes()]
        number, memory = self._room(sum(sizes))
        done = self._hear()
        if done["asks"] != "taken":
            raise self.nonsense(done)
        whole: UInt8 = np.frombuffer(memory, np.uint8)
        weakref.finalize(whole, self._free.append, number).atexit = False
        starts = np.cumsum([0, *sizes])
        planes = tuple(
            whole[starts[place] : starts[place + 1]].reshape(plane) for place, plane in enumerate(shape.plane_shapes())
        )
        return shape, planes

    def nonsense(self, message: Mapping[str, Any]) -> MediaError:
        """The error for a message that does not belong where it came."""
        return MediaError(f"{self._job.name}: its decoder said {message['asks']!r:.40}: the file may be an attack")

    def _room(self, size: int) -> tuple[int, mmap.mmap]:
        """Memory of that size, told to the process: one that nobody looks at any more, or a new one."""
        dropped: list[int] = []
        while self._free:
            number = self._free.popleft()
            if len(self._slots[number]) == size:
                self.answer(slot=number, bytes=size, dropped=dropped)
                return number, self._slots[number]
            del self._slots[number]
            dropped.append(number)
        number, self._next_slot = self._next_slot, self._next_slot + 1
        # Without a name, so that nothing is left behind; its size is sealed, so that nobody can take it away again.
        with closing_descriptor(os.memfd_create("pylfr-picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)) as descriptor:
            os.ftruncate(descriptor, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            self._slots[number] = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
            content = json.dumps({"slot": number, "bytes": size, "dropped": dropped}).encode()
            with contextlib.suppress(OSError):
                socket.send_fds(self._own, [content], [descriptor])
        return number, self._slots[number]

    def _status(self) -> int:
        """How the process ended that has closed its side; it is killed only where it lives on without speaking."""
        try:
            return self._process.wait(_LAST_BREATH_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _hear(self) -> Mapping[str, Any]:
        try:
            content = self._own.recv(MESSAGE_BYTES)
        except TimeoutError as error:
            raise MediaError(
                f"{self._job.name}: its decoder gave nothing for {self._own.gettimeout():g} s and was stopped: the "
                "file is damaged, or made to keep a decoder busy"
            ) from error
        except OSError:
            content = b""
        if not content:
            status = self._status()
            why = (
                "it failed by itself, as where its program was changed while this one runs"
                if status == 1
                else "the file is damaged, or made to break decoders, or memory ran out"
            )
            most = resource.getrlimit(resource.RLIMIT_AS)[0]
            if most != resource.RLIM_INFINITY:
                why = f"{most / 1e6:,.0f} MB may be used (`ulimit -v` raises it), which may be too little; or {why}"
            raise MediaError(f"{self._job.name}: its decoder died (status {status}): {why}")
        try:
            return parse_message(content)
        except ValueError as error:
            raise MediaError(f"{self._job.name}: its decoder spoke nonsense: the file may be an attack") from error
