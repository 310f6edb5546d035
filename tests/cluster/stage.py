"""A cluster of the tests' own: a Ray head, nodes that can be killed, frozen and cut off, and footage of real people."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import skimage.data

from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.watchlist import create_watchlist, open_watchlist
from pylfr.governance.keys.keys import make_key
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image, write_png
from tests.cli.command import PYLFR
from tests.deployment_text import permit_text
from tests.footage import BOTH, MAN, NOBODY, WALKING_AND_PAUSE, WOMAN, save_references, video
from tests.service.stand import free_port

RATE_HZ = 12
# One for all clusters of a process: Ray reads it once.
TOKEN = secrets.token_hex(32)
# Longer than anybody is in view, and shorter than the time in which nobody is: one alert of each person and pass,
# whichever frame of it decides.
COOLDOWN_S, NOBODY_S = 6.0, 7.0
NODES = ("east", "west", "cut")
# Who comes past, in which order, with nobody in between.
REELS = ((MAN, WOMAN, BOTH), (WALKING_AND_PAUSE, MAN, WOMAN), (BOTH, WOMAN, WALKING_AND_PAUSE), (MAN, BOTH))
CAMERAS = tuple(f"camera {number}" for number in range(1, 13))


def make_reels(media: Path, folder: Path) -> None:
    """A recording of each reel: H.264, 480 x 270, 12 frames a second."""
    nobody = _frames(video(media, NOBODY), NOBODY_S)
    clips = {name: _frames(video(media, name), 60.0) for reel in REELS for name in reel}
    for number, reel in enumerate(REELS):
        with av.open(str(folder / f"reel-{number}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=RATE_HZ, options={"crf": "18", "preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
            shown = [frame for name in reel for frame in (*clips[name], *nobody)]
            for count, picture in enumerate(shown):
                frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                frame.pts, frame.time_base = count, Fraction(1, RATE_HZ)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))


def _frames(path: Path, seconds: float) -> list[UInt8]:
    """The first frames of a video, small, as planes."""
    with av.open(str(path)) as source:
        frames = islice(source.decode(video=0), int(seconds * RATE_HZ))
        return [np.asarray(frame.reformat(480, 270, "yuv420p").to_ndarray(), np.uint8) for frame in frames]


def prepare(media: Path, folder: Path) -> None:
    """Keys, a sealed watchlist of the woman and the man in blue, the nodes' identities, and the recordings."""
    references = save_references(media, folder)
    detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
    with create_watchlist(folder / "plain.watchlist", embedder) as watchlist:
        for person, images in references.items():
            watchlist.enrol(person, read_image(images[0]), detector=detector, embedder=embedder)
    key = make_vault_key(folder / "watchlist.key", expires_at=datetime.now(UTC) + timedelta(hours=2))
    seal_watchlist(folder / "plain.watchlist", folder / "sealed.watchlist", key)
    write_png(folder / "elsewhere.png", skimage.data.astronaut())
    make_key(folder / "record.key")
    make_reels(media, folder)
    for name in NODES:
        subprocess.run(
            [PYLFR, "cluster", "keygen", folder / name, "--head", folder / "record.pub"], check=True,
            capture_output=True,
        )  # fmt: skip


def change_list(folder: Path, *, enrol: str = "", withdraw: str = "") -> int:
    """Enrol somebody who is in none of the recordings, or take her off; the new revision is sealed in its place."""
    with open_watchlist(folder / "plain.watchlist") as watchlist:
        if enrol:
            detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
            watchlist.enrol(enrol, read_image(folder / "elsewhere.png"), detector=detector, embedder=embedder)
        if withdraw:
            watchlist.remove(withdraw)
        revision = watchlist.revision
    key = read_vault_key(folder / "watchlist.key", now=datetime.now(UTC))
    seal_watchlist(folder / "plain.watchlist", folder / "fresh.watchlist", key)
    (folder / "fresh.watchlist").replace(folder / "sealed.watchlist")
    return revision


def write_deployment(
    folder: Path, name: str, *, pace: str, records: str, recorded_at: datetime, lease_s: float = 4
) -> Path:
    """The deployment of the twelve cameras, as ``name``.toml with a log of its own."""
    cameras = "\n".join(
        f'[[cameras]]\nname = "{camera}"\nsource = "{folder / f"reel-{number % len(REELS)}.mp4"}"\n'
        f'pace = "{pace}"\nrecorded_at = {recorded_at.isoformat()}'
        for number, camera in enumerate(CAMERAS)
    )
    path = folder / f"{name}.toml"
    nodes = "\n".join(f'{each} = "{each}/node.pub"' for each in NODES)
    path.write_text(f"""
name = "{name}"
{permit_text(cameras=CAMERAS, begin=datetime.now(UTC) - timedelta(hours=1), lasts=timedelta(hours=2))}
[models]
detector = "yunet_n"
embedder = "face_reid_0095"
threads = 1
[recognition]
detect_hz = 2
cooldown_s = {COOLDOWN_S}
[watchlist]
file = "sealed.watchlist"
key = "watchlist.key"
[audit]
path = "{name}.log"
key = "record.key"
checkpoints = "{name}.checkpoints"
[records]
{records}
[cluster]
folder = "{name}-engines"
lease_s = {lease_s}
[cluster.nodes]
{nodes}
{cameras}
""")
    return path


@dataclass(slots=True)
class RayNode:
    """A Ray node of its own processes, known by the folder in their environment."""

    folder: Path
    process: subprocess.Popen[bytes]

    def processes(self) -> list[int]:
        """The numbers of all its processes."""
        wanted = f"PYLFR_NODE_FOLDER={self.folder}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if wanted in path.read_bytes() + b"\0":
                    found.append(int(path.parent.name))
        return found

    def actors(self, kind: str) -> list[int]:
        """The numbers of its processes that are actors of this class."""
        return [pid for pid in self.processes() if kind.encode() in command_of(pid)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of the node."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """As a power cut: all at once, and none may say goodbye."""
        self.send(signal.SIGKILL)
        self.process.wait(20)


def command_of(pid: int) -> bytes:
    """How a process calls itself; nothing where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def can_cut() -> bool:
    """Whether this machine lets the tests make a network namespace."""
    if os.geteuid() or shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", "pylfr-probe"], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", "pylfr-probe"], check=False)
    return made


@contextmanager
def cable(number: int) -> Iterator[str]:
    """A network namespace behind a cable: gives its name; the far end is 10.77.N.2, this end 10.77.N.1."""
    name, here, there = f"pylfr-{number}", f"pylfr-h{number}", f"pylfr-n{number}"
    script = f"""
ip netns add {name}
ip link add {here} type veth peer name {there}
ip link set {there} netns {name}
ip addr add 10.77.{number}.1/24 dev {here}
ip link set {here} up
ip netns exec {name} ip addr add 10.77.{number}.2/24 dev {there}
ip netns exec {name} ip link set {there} up
ip netns exec {name} ip link set lo up
"""
    try:
        subprocess.run(["bash", "-euc", script], check=True, capture_output=True)
        yield name
    finally:
        subprocess.run(["bash", "-c", f"ip link del {here}; ip netns del {name}"], check=False, capture_output=True)


def set_cable(number: int, state: str) -> None:
    """Pull the cable (down) or plug it in again (up)."""
    subprocess.run(["ip", "link", "set", f"pylfr-h{number}", state], check=True)


class Stage:
    """Ray's head on ``host``, and nodes that join it."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self.address = f"{host}:{free_port()}"
        self.nodes: dict[str, RayNode] = {}
        self.temporary = Path("/tmp") / f"pylfr-ray-{os.getpid()}"

    def __enter__(self) -> Stage:
        # Only who has the token may submit work.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        port = self.address.partition(":")[2]
        self.nodes["head"] = self._start(
            self.folder / "head",
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}",
             "--include-dashboard=false", f"--temp-dir={self.temporary}", "--resources={}"],
        )  # fmt: skip
        wait_for(self._answers, "Ray's head is up")
        return self

    @contextmanager
    def connected(self) -> Iterator[None]:
        """A connection of this process, which may start heads and ask them things."""
        from pylfr.cluster import driver

        driver.connect(self.address)
        try:
            yield
        finally:
            driver.disconnect()

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex((self.host, int(self.address.partition(":")[2]))) == 0

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)
        del os.environ["RAY_AUTH_TOKEN"]

    def add(
        self,
        name: str,
        *words: str | Path,
        cameras: int,
        namespace: str | None = None,
        host: str | None = None,
    ) -> None:
        """Let a node join, inside a network namespace where one is named; it has when this returns.

        One after the other: two that start on one machine at once may ask for the same port.
        """
        before = self._alive()
        inside = [] if namespace is None else ["ip", "netns", "exec", namespace]
        self.nodes[name] = self._start(
            self.folder / name,
            [*inside, PYLFR, "cluster", "node", self.folder / name, "--cameras", str(cameras), "--address",
             self.address, *words],
            host=host,
        )  # fmt: skip
        wait_for(lambda: bool(self._alive() - before), f"{name} joins the cluster")

    def _alive(self) -> set[str]:
        import ray

        return {each["NodeID"] for each in ray.nodes() if each["Alive"]}  # type: ignore[no-untyped-call]

    def _start(self, folder: Path, command: list[str | Path], *, host: str | None = None) -> RayNode:
        with (self.folder / f"{folder.name}.ray").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--block", f"--node-ip-address={host or self.host}", "--num-cpus=0",
                 f"--object-store-memory={80 << 20}"],
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYLFR_NODE_FOLDER": str(folder), "RAY_USAGE_STATS_ENABLED": "0"},
            )  # fmt: skip
        return RayNode(folder, process)


def wait_for(condition: Callable[[], bool], what: str, *, limit_s: float = 90.0) -> float:
    """How long it took until ``condition`` held, in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, f"not within {limit_s:g} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - began
