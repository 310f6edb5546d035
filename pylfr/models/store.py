"""The networks on this machine: found in the user's folders, always verified, fetched only on request."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

import platformdirs

from pylfr.errors import LicenceError, ModelError
from pylfr.models import download, transfer
from pylfr.models.fetch import fetch_from
from pylfr.models.last_layer import LastLayer, take_off_last_layer
from pylfr.models.ledger import Ledger
from pylfr.models.manifest import ModelManifest, read_manifest
from pylfr.models.onnx_file import require_self_contained

MODELS_VARIABLE = "PYLFR_MODELS"
MIRROR_VARIABLE = "PYLFR_MODELS_MIRROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network whose file exists and has the sha256 of its manifest.

    With ``is_trunk`` it runs without its last layer.
    """

    manifest: ModelManifest
    path: Path
    sha256: str
    is_trunk: bool = False

    @property
    def notice(self) -> str | None:
        """A line to show before it is used: a restricted licence, a warning. None without either."""
        return self.manifest.notice


def read_verified(model: Model) -> bytes:
    """The bytes that will run.

    Raises ``ModelError`` if the file was altered since it was found, or needs more than its own bytes: its sha256 does
    not cover another file, or a custom operator, that it names.
    """
    content = model.path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise ModelError(f"{model.path} must have sha256 {model.sha256}, got {digest}: it was altered, get it again")
    require_self_contained(content, name=str(model.path))
    if not model.is_trunk:
        return content
    parts = take_off_last_layer(content)
    if parts is None:
        raise ModelError(f"{model.path} has no last layer that can be separated")
    return parts[0]


def trunk_of(model: Model) -> tuple[Model, LastLayer] | None:
    """An embedder without its last layer, and that layer; None if no linear layer computes its templates.

    Raises ``ModelError`` as ``read_verified``.
    """
    parts = take_off_last_layer(read_verified(model))
    # A layer applied at every position of a picture gives fewer numbers at a time.
    if parts is None or model.manifest.embed is None or len(parts[1].weight) != model.manifest.embed.dimension:
        return None
    return replace(model, is_trunk=True), parts[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders of shipped manifests and networks, of the user's own, of the cache and of the configuration."""

    catalogue: Path
    own: Path | None
    cache: Path
    config: Path
    shipped: Path | None = None

    @property
    def of_manifests(self) -> tuple[Path, ...]:
        return tuple(each for each in (self.catalogue, self.own, self.config / "models") if each is not None)

    @property
    def of_networks(self) -> tuple[Path, ...]:
        return tuple(each for each in (self.own, self.shipped, self.cache) if each is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A file, or a member of an archive, that matches a manifest."""

    manifest: ModelManifest
    path: Path
    member: str | None
    sha256: str


class ModelStore:
    """Every manifest, and the file of its network. Constructing one reads nothing; ``open_store`` makes one."""

    def __init__(
        self, places: Places, *, mirrors: tuple[str, ...] = (), open_url: download.OpenUrl = download.open_url
    ) -> None:
        """``mirrors`` are addresses of folders with networks under their file names, asked instead of the sources."""
        self._places = places
        self._mirrors = mirrors
        self._ledger = Ledger(places.config / "models.jsonl")
        self._open_url = open_url

    @property
    def places(self) -> Places:
        return self._places

    def names(self) -> tuple[str, ...]:
        """Every network with a manifest, whether its file was found or not."""
        return tuple(sorted({path.stem for folder in self._places.of_manifests for path in folder.glob("*.toml")}))

    def manifest(self, name: str) -> ModelManifest:
        """The manifest of that name. Raises ``ModelError`` for an unknown name (with the nearest) or two of it."""
        paths = [path for folder in self._places.of_manifests for path in folder.glob("*.toml") if path.stem == name]
        if not paths:
            near = difflib.get_close_matches(name, self.names(), n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(self.names())}"
            raise ModelError(f"unknown network {name!r}: {hint}")
        if len(paths) > 1:
            raise ModelError(f"two manifests have the name {name!r}, {paths[0]} and {paths[1]}: rename one")
        return read_manifest(paths[0])

    def name_of(self, sha256: str) -> str | None:
        """The name of the network with that hash, or None."""
        return next((manifest.name for manifest in self._readable() if self._expected(manifest) == sha256), None)

    def find(self, name: str) -> Path | None:
        """The path of that network's file, unverified, or None."""
        manifest = self.manifest(name)
        files = [manifest.file] + ([manifest.source.member] if manifest.source.member else [])
        candidates = (folder / file for folder in self._places.of_networks for file in files)
        return next((path for path in candidates if path.is_file()), None)

    def resolve(self, name: str) -> Model:
        """The network of that name, its file verified.

        Raises ``ModelError`` if it is unknown, missing (with the folders searched and the command to get it), altered,
        or has no known hash.
        """
        manifest = self.manifest(name)
        path = self.find(name)
        if path is None:
            folders = " and ".join(str(folder) for folder in self._places.of_networks)
            raise ModelError(f"{name} is not installed: no {manifest.file} in {folders}; {self._how_to_get(manifest)}")
        expected = self._expected(manifest)
        status = path.stat()
        if expected is None:
            raise ModelError(
                f"{name} has no sha256 in its manifest: confirm the file with `pylfr models import {path}`, or write "
                f'sha256 = "{_digest(path, status.st_mtime_ns, status.st_size)}" into [source] of the manifest'
            )
        digest = _digest(path, status.st_mtime_ns, status.st_size)
        if digest != expected:
            raise ModelError(
                f"{path} must have sha256 {expected} to be {name}, got {digest}: it was altered or is another file; "
                f"remove it, then {self._how_to_get(manifest)}"
            )
        return Model(manifest=manifest, path=path, sha256=digest)

    def fetch(
        self,
        name: str,
        *,
        accept_licence: str | None = None,
        on_progress: download.Progress | None = None,
        on_address: Callable[[str], None] | None = None,
    ) -> Model:
        """Download that network into the cache, verify it, and return it. An existing file is not fetched again.

        What broke off is continued. ``on_address`` hears every address before it is asked, and why one before failed.
        Raises ``LicenceError`` unless a restricted licence is accepted by name, now or earlier, and ``ModelError`` if
        the network has no address, comes incompletely (the next try resumes it) or is another file.
        """
        manifest = self.manifest(name)
        source = manifest.source
        addresses = self._addresses(manifest)
        if not addresses or source.sha256 is None or source.size_bytes is None:
            raise ModelError(f"{name} cannot be fetched: {self._how_to_get(manifest)}")
        self.require_licence([manifest], accept_licence)
        if self.find(name) is not None:
            return self.resolve(name)
        failures: list[str] = []
        for address in addresses:
            if on_address is not None:
                on_address("; ".join([*failures[-1:], f"{name}, {source.size_bytes} bytes, from {address}"]))
            try:
                fetch_from(address, manifest, self._places.cache, open_url=self._open_url, on_progress=on_progress)
            except ModelError as error:
                failures.append(str(error))
            else:
                return self.resolve(name)
        only = f"; nothing else is asked while {MIRROR_VARIABLE} is set" if self._mirrors else ""
        raise ModelError("; ".join(failures) + only)

    def _addresses(self, manifest: ModelManifest) -> tuple[str, ...]:
        if self._mirrors and not manifest.source.shipped:
            return tuple(f"{mirror.rstrip('/')}/{manifest.file}" for mirror in self._mirrors)
        return (manifest.source.url,) if manifest.source.url is not None else ()

    def import_path(self, path: Path, *, accept_licence: str | None = None) -> tuple[Model, ...]:
        """Copy every known network in a file, a zip archive or a folder into the cache, recognised by its hash.

        A network whose manifest has no sha256 is recognised by its file name, and its hash is recorded. Raises
        ``LicenceError`` unless restricted licences are accepted by name, and ``ModelError`` if nothing is recognised.
        """
        if not path.exists():
            raise ModelError(f"{path} does not exist: name a network (.onnx), a zip archive, or a folder of them")
        offers = list(self._offers(path))
        if not offers:
            raise ModelError(
                f"{path} contains no network with a known sha256: write a manifest NAME.toml next to it, or in "
                f"{self._places.config / 'models'} (see `pylfr models show yunet_n` for an example)"
            )
        self.require_licence([offer.manifest for offer in offers], accept_licence)
        for offer in offers:
            with transfer.arriving(self._places.cache / offer.manifest.file, sha256=offer.sha256) as file:
                if offer.member is None:
                    file.write(offer.path.read_bytes())
                else:
                    size = transfer.members(offer.path)[offer.member]
                    transfer.unpack(offer.path, offer.member, file, size_bytes=size)
            if offer.manifest.source.sha256 is None:
                self._ledger.record_sha256(offer.manifest.name, offer.sha256)
        return tuple(self.resolve(name) for name in sorted({offer.manifest.name for offer in offers}))

    def _offers(self, path: Path) -> Iterator[_Offer]:
        manifests = list(self._readable())
        if path.is_file():
            files = [path]
        else:
            files = sorted(each for each in path.rglob("*") if each.suffix in (".onnx", ".zip") and each.is_file())
        for file in files:
            if file.suffix == ".zip":
                for member, size in transfer.members(file).items():
                    if any(manifest.source.size_bytes == size for manifest in manifests):
                        with transfer.temporary(self._places.cache) as unpacked:
                            transfer.unpack(file, member, unpacked, size_bytes=size)
                            digest = transfer.sha256_of(Path(unpacked.name))
                        yield from _matching(manifests, file, member, digest)
            else:
                yield from _matching(manifests, file, None, transfer.sha256_of(file))

    def _readable(self) -> Iterator[ModelManifest]:
        """Every valid manifest. An invalid one is reported when it is requested by name, and affects no other."""
        for name in self.names():
            try:
                yield self.manifest(name)
            except ModelError:
                continue

    def _expected(self, manifest: ModelManifest) -> str | None:
        return manifest.source.sha256 or self._ledger.sha256_of(manifest.name)

    def require_licence(self, manifests: list[ModelManifest], accepted: str | None) -> None:
        """Raise ``LicenceError`` unless every restricted licence is accepted by name; a new acceptance is recorded."""
        restricted = {each.licence.id: each.name for each in manifests if not each.licence.commercial_use}
        open_ones = [each for each in restricted if each != accepted and not self._ledger.accepts(each)]
        if open_ones:
            got = f", got {accepted!r}" if accepted is not None else ""
            raise LicenceError(
                f"{restricted[open_ones[0]]} is not for commercial use: accept its licence by name with "
                f"--accept-licence {open_ones[0]}{got}"
            )
        if accepted in restricted and not self._ledger.accepts(accepted):
            self._ledger.accept(accepted)

    def how_to_get(self, name: str) -> str:
        """How a network that is not installed is got, in words. Raises ``ModelError`` as ``manifest``."""
        return self._how_to_get(self.manifest(name))

    def _how_to_get(self, manifest: ModelManifest) -> str:
        if manifest.source.shipped:
            return "it ships with pylfr: reinstall pylfr"
        licence = manifest.licence
        accept = "" if licence.commercial_use or self._ledger.accepts(licence.id) else f" --accept-licence {licence.id}"
        if self._addresses(manifest):
            return f"get it with `pylfr models fetch {manifest.name}{accept}`"
        return (
            f"get {manifest.file} ({manifest.source.page}), then `pylfr models import {manifest.file}{accept}`, "
            f"or name its folder in {MODELS_VARIABLE}"
        )


def _matching(manifests: list[ModelManifest], path: Path, member: str | None, digest: str) -> Iterator[_Offer]:
    name = (member or path.name).rsplit("/", 1)[-1]
    for manifest in manifests:
        pinned = manifest.source.sha256
        if digest == pinned or (pinned is None and name == manifest.file):
            yield _Offer(manifest=manifest, path=path, member=member, sha256=digest)


@lru_cache(maxsize=256)
def _digest(path: Path, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - a changed file has another key
    """The sha256 of a file, computed once per process for each state of the file."""
    return transfer.sha256_of(path)


def open_store() -> ModelStore:
    """The user's store: ``PYLFR_MODELS`` if it is set and not empty, then what ships with pylfr, then the user's cache.

    It fetches from ``PYLFR_MODELS_MIRROR`` (addresses, separated by spaces) if that is set, else from the sources.
    Raises ``ModelError`` if ``PYLFR_MODELS`` is not a folder, or a mirror no address.
    """
    named = os.environ.get(MODELS_VARIABLE, "")
    own = Path(named).expanduser() if named else None
    if own is not None and not own.is_dir():
        raise ModelError(f"{MODELS_VARIABLE} must be a folder of networks, got {named}: correct or unset it")
    mirrors = tuple(os.environ.get(MIRROR_VARIABLE, "").split())
    for mirror in mirrors:
        if not mirror.startswith(("https://", "http://")):
            raise ModelError(f"{MIRROR_VARIABLE} must be addresses that start with https:// or http://, got {mirror!r}")
    package = Path(str(resources.files("pylfr.models")))
    return ModelStore(
        Places(
            catalogue=package / "catalogue",
            own=own,
            cache=platformdirs.user_cache_path("pylfr") / "models",
            config=platformdirs.user_config_path("pylfr"),
            shipped=package / "shipped",
        ),
        mirrors=mirrors,
    )
