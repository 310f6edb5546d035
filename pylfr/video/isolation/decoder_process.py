"""The confined process that decodes one file, and the memory it shares: how it is started, heard and ended.

The process opens no file and no socket (``pylfr.video.isolation.sandbox``); it is handed one open file and writes
pictures into memory that is mapped read-only here. None of its messages is believed without a check.
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
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pylfr.errors import MediaError
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import closing_descriptor
from pylfr.video.isolation.wire import MESSAGE_BYTES, Job, PictureShape, parse_message, plain

log = logging.getLogger(__name__)

# A decoder that says nothing for so long hangs: the slowest picture that is taken needs a fraction of it.
PATIENCE_S = 20.0

# A process that has closed its side is at its end: killed at once, it could not say how it ended.
_LAST_BREATH_S = 2.0

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
                        'fix that, or set isolation = "none" in [decode] where you trust what it decodes'
                    )
                case _ if not self._is_held:
                    raise self.malformed(message)
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
            raise self.malformed(done)
        whole: UInt8 = np.frombuffer(memory, np.uint8)
        weakref.finalize(whole, self._free.append, number).atexit = False
        starts = np.cumsum([0, *sizes])
        planes = tuple(
            whole[starts[place] : starts[place + 1]].reshape(plane) for place, plane in enumerate(shape.plane_shapes())
        )
        return shape, planes

    def malformed(self, message: Mapping[str, Any]) -> MediaError:
        """The error for a message that is not expected at this point."""
        what = f"unexpected message {message['asks']!r:.40}"
        return MediaError(f"{self._job.name}: {what} from the decoder process: the file may be an attack")

    def _room(self, size: int) -> tuple[int, mmap.mmap]:
        """Memory of that size, announced to the process: a block that is no longer in use, or a new one."""
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
            raise MediaError(
                f"{self._job.name}: malformed message from the decoder process: the file may be an attack"
            ) from error
