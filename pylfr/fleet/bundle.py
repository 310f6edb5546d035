"""Configuration, policy and networks for one site in one signed file: made centrally, verified on site, never older."""

from __future__ import annotations

import base64
import binascii
import hashlib
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from pylfr._internal.atomic_file import sync_folder, write_whole
from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.private_folder import make_private_folder
from pylfr._internal.regular_file import read_file, reading_file
from pylfr._internal.strict_json import parse_json
from pylfr._internal.toml_model import ConfigModel, explain
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.authority import Digest, Moment
from pylfr.governance.keys.keys import PublicKey, SigningKey

_FORMAT = "pylfr-site-bundle-1"
_MANIFEST, _SIGNATURE = "bundle.json", "bundle.signature"
_LARGEST_MANIFEST, _LARGEST_FILE = 1 << 22, 4 << 30
_LARGEST_SIGNATURE = 1000
# What a damaged archive makes of zipfile: an unknown method of packing, encrypted members, numbers that lie.
_DAMAGED = (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
# What belongs to a site alone: how such files begin, or what is in their first lines.
_SECRETS = (b"PRIVATE KEY", b'"format":"pylfr-vault-key', b"SQLite format 3\0")


class BundleManifest(ConfigModel):
    """What a bundle says of itself: for which site, which version of it, and the sha256 of every file."""

    format: str = Field(pattern=f"^{_FORMAT}$")
    site: str = Field(min_length=1)
    version: int = Field(ge=1)
    made_at: Moment
    files: dict[str, Digest] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The bundle that a site uses: its version, and the folder of its files."""

    manifest: BundleManifest
    folder: Path


def pack_bundle(
    folder: Path, out: Path, *, site: str, version: int, made_at: datetime, key: SigningKey
) -> BundleManifest:
    """Write every file under ``folder`` into the bundle ``out``, signed with ``key``.

    Raises ``ConfigError`` for a file that must not travel: a private key, the key of a list, a watchlist, a database.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, path in files.items():
        _require_harmless(name, path)
    fields: dict[str, Plain] = {
        "format": _FORMAT, "site": site, "version": version, "made_at": utc_text(made_at),
        "files": {name: _sha256(path) for name, path in files.items()},
    }  # fmt: skip
    manifest = _manifest(canonical(fields), out)
    try:
        descriptor = os.open(out, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_MANIFEST, canonical(fields))
            archive.writestr(_SIGNATURE, base64.b64encode(key.sign(canonical(fields))))
            for name, path in files.items():
                archive.write(path, f"files/{name}")
    except OSError as error:
        raise ConfigError(f"the bundle {out} cannot be written ({error.strerror}): name a new file") from error
    return manifest


def read_bundle(path: Path, key: PublicKey) -> BundleManifest:
    """What a bundle holds. Raises ``ConfigError`` where it is none, or was not signed with ``key``."""
    with _opened(path) as archive:
        return _verified(archive, path, key)


def install_bundle(path: Path, into: Path, *, site: str, key: PublicKey) -> Installed:
    """Put the files of a bundle into ``into``/VERSION and let ``into``/current point there, in one step.

    Deployment files name people: all that is installed is its owner's alone, whatever the umask.
    Raises ``ConfigError`` where the bundle is not signed with ``key``, is of another site, is not newer than what is
    there, or any file is not what was signed: then nothing has changed.
    """
    with _opened(path) as archive:
        manifest = _verified(archive, path, key)
        if manifest.site != site:
            raise ConfigError(f"{path} is for {manifest.site!r}, this is {site!r}: nothing was changed")
        before = installed_bundle(into)
        if before is not None and before.manifest.version >= manifest.version:
            raise ConfigError(
                f"{path} has version {manifest.version}, installed is {before.manifest.version}: an older bundle may "
                "bring back what was withdrawn; make one with a higher version"
            )
        target = into / str(manifest.version)
        shutil.rmtree(target, ignore_errors=True)
        try:
            for name, content in _contents(archive, path, manifest.files):
                place = target / name
                make_private_folder(place.parent)
                write_whole(place, content)
            write_whole(target / _MANIFEST, archive.read(_MANIFEST))
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    fresh = into / ".current"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name, target_is_directory=True)
    fresh.replace(into / "current")
    sync_folder(into)
    return Installed(manifest=manifest, folder=target)


def installed_bundle(into: Path) -> Installed | None:
    """The bundle that is used; None where there is none. Raises ``ConfigError`` where its manifest is damaged."""
    current = into / "current"
    if not current.exists():
        return None
    try:
        content = read_file(current / _MANIFEST, largest=_LARGEST_MANIFEST)
    except OSError as error:
        raise ConfigError(f"{current} has no manifest that can be read ({error.strerror}): install anew") from error
    manifest = _manifest(content, current)
    return Installed(manifest=manifest, folder=current.resolve())


def changed_files(installed: Installed) -> Sequence[str]:
    """The files of an installed bundle that are not what was signed any more, or gone."""
    return [
        name
        for name, digest in sorted(installed.manifest.files.items())
        if not (installed.folder / name).is_file() or _sha256(installed.folder / name) != digest
    ]


def _verified(archive: zipfile.ZipFile, path: Path, key: PublicKey) -> BundleManifest:
    try:
        content = _read_member(archive, _MANIFEST, _LARGEST_MANIFEST)
        signature = base64.b64decode(_read_member(archive, _SIGNATURE, _LARGEST_SIGNATURE), validate=True)
    except (KeyError, binascii.Error, OSError, *_DAMAGED) as error:
        raise ConfigError(f"{path} is no site bundle: {error}") from error
    if not key.verifies(content, signature):
        raise ConfigError(f"{path} was not signed with the key {key.fingerprint}: nothing of it is used")
    return _manifest(content, path)


def _manifest(content: bytes, path: Path) -> BundleManifest:
    try:
        manifest = BundleManifest.model_validate(parse_json(content))
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(explain(each) for each in error.errors())) from error
    except ValueError as error:
        raise ConfigError(f"{path} has no manifest that can be read: {error}") from error
    for name in manifest.files:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or name == _MANIFEST:
            raise ConfigError(f"{path} names a file outside its folder: {name!r}")
    return manifest


def _contents(archive: zipfile.ZipFile, path: Path, files: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Each file with what was signed. Anything else in the archive is ignored."""
    for name, digest in files.items():
        try:
            content = _read_member(archive, f"files/{name}", _LARGEST_FILE)
        except (KeyError, OSError, *_DAMAGED) as error:
            raise ConfigError(f"{path} lacks {name}, or it is damaged: {error}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise ConfigError(f"{path}: {name} is not what was signed: nothing was changed")
        yield name, content


def _read_member(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A member of an archive. Raises ``KeyError`` where there is none, and one of ``_DAMAGED``."""
    info = archive.getinfo(name)
    if info.file_size > largest:
        raise ValueError(f"{name} has {info.file_size:,} bytes, at most {largest:,} are expected")
    return archive.read(info)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as opened:
        try:
            # A pipe in its place is not waited for.
            file = opened.enter_context(reading_file(path))
            archive = opened.enter_context(zipfile.ZipFile(file))
        except (OSError, *_DAMAGED) as error:
            raise ConfigError(f"the bundle {path} cannot be read: {error}") from error
        yield archive


def _require_harmless(name: str, path: Path) -> None:
    with path.open("rb") as file:
        begins = file.read(4096)
    if any(secret in begins for secret in _SECRETS):
        raise ConfigError(f"{name} is a private key, a watchlist or a database: it belongs to one site, and not here")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
