"""A service with a real engine beside it, in this process: real networks on real footage, five people with roles."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from pylfr.deployment.open import engine_of
from pylfr.deployment.resources import Resources, open_resources
from pylfr.engine.engine import Engine
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.service.camera_watch import CameraWatch
from pylfr.service.control import RunControl
from pylfr.video.decoding.image_io import read_image
from tests.deployment_text import RECORDS, SEALED_EVIDENCE, SIGNED_LOG, deployment_text, permit_text
from tests.footage import BOTH, MAN, save_references, video
from tests.service.stand import PATIENCE_S, ROLES, free_port, people_and_roles, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What two cameras see, for ever, and who is looked for."""

    north: Path
    south: Path
    people: dict[str, Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An engine with its pages."""

    folder: Path
    material: Material
    origin: str
    engine: Engine
    watch: CameraWatch
    resources: Resources
    clients: ExitStack

    def client(self, name: str) -> httpx.Client:
        """A browser of somebody who signed in."""
        client = self.clients.enter_context(
            httpx.Client(base_url=self.origin, headers={"Origin": self.origin}, timeout=PATIENCE_S)
        )
        key = read_signing_key(self.folder / f"{name}.key")
        challenge = client.post("/v1/challenges", json={"name": name}).json()
        signature = base64.b64encode(key.sign(challenge["message"].encode())).decode()
        assert client.post("/v1/session", json={"nonce": challenge["nonce"], "signature": signature}).is_success
        return client

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.resources.audit.entries()]


def wait_for(what: Callable[[], bool], *, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def footage(media: Path, folder: Path) -> Material:
    """A man, and the same with a woman; he is looked for."""
    references = save_references(media, folder)
    return Material(north=video(media, MAN), south=video(media, BOTH), people={"man": references["man"][0]})


@contextmanager
def running(folder: Path, material: Material) -> Iterator[Running]:
    """The engine runs until the block ends, or it is stopped."""
    embedder = open_embedder("face_reid_0095")
    with create_watchlist(folder / "square.watchlist", embedder) as watchlist:
        for name, picture in material.people.items():
            watchlist.enrol(name, read_image(picture), detector=open_detector("yunet_n"), embedder=embedder)
    for name in ("record", *ROLES):
        make_key(folder / f"{name}.key")
    port = free_port()
    path = folder / "deployment.toml"
    path.write_text(_deployment(material, port))
    watch = CameraWatch()
    engine = engine_of(open_resources(path), observers=[watch])
    thread = threading.Thread(target=lambda: list(engine.run()), daemon=True)
    with open_resources(path) as resources, ExitStack() as clients:
        control = RunControl(resources, path=path)
        control.attach(engine, watch)
        with serving(resources, port, control=control), closing(engine):
            thread.start()
            wait_for(lambda: watch.rates("north").frames_hz > 0)
            yield Running(
                folder=folder,
                material=material,
                origin=f"http://127.0.0.1:{port}",
                engine=engine,
                watch=watch,
                resources=resources,
                clients=clients,
            )
            engine.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def _deployment(material: Material, port: int) -> str:
    return deployment_text(
        permit_text(place="Market Square", cameras=("north", "south", "west")),
        SIGNED_LOG,
        RECORDS,
        SEALED_EVIDENCE,
        "[recognition]\ndetect_hz = 4\n",
        people_and_roles(port),
        name="Market Square",
        cameras={"north": material.north, "south": material.south},
        loop=True,
        watchlist='file = "square.watchlist"\npoll_ms = 50',
    )
