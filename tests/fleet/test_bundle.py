"""A site installs what was signed for it, whole, and nothing older; secrets do not travel."""

from __future__ import annotations

import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pylfr.errors import ConfigError
from pylfr.fleet.bundle import changed_files, install_bundle, installed_bundle, pack_bundle
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key
from tests.cli.command import PYLFR

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    make_key(tmp_path / "fleet.key")
    return read_signing_key(tmp_path / "fleet.key")


def content(tmp_path: Path, text: str = "one") -> Path:
    folder = tmp_path / f"content-{text}"
    (folder / "models").mkdir(parents=True)
    (folder / "deployment.toml").write_text(text)
    (folder / "models" / "net.onnx").write_bytes(b"\0" * 1000)
    return folder


def pack(tmp_path: Path, key: SigningKey, version: int, text: str) -> Path:
    out = tmp_path / f"bundle-{version}-{text}"
    pack_bundle(content(tmp_path, text), out, site="hall", version=version, made_at=NOW, key=key)
    return out


def test_what_was_signed_is_installed_and_a_change_of_it_is_found(tmp_path: Path, key: SigningKey) -> None:
    into = tmp_path / "site"
    into.mkdir()
    install_bundle(pack(tmp_path, key, 1, "one"), into, site="hall", key=key.public)
    install_bundle(pack(tmp_path, key, 2, "two"), into, site="hall", key=key.public)
    assert (into / "current" / "deployment.toml").read_text() == "two"
    found = installed_bundle(into)
    assert found is not None
    assert (found.manifest.version, changed_files(found)) == (2, [])
    (into / "current" / "deployment.toml").write_text("three")
    assert changed_files(found) == ["deployment.toml"]


def test_what_is_installed_is_its_owners_alone_whatever_the_umask(tmp_path: Path, key: SigningKey) -> None:
    bundle, into = pack(tmp_path, key, 1, "one"), tmp_path / "new" / "site"
    done = subprocess.run(
        [
            "sh", "-c", 'umask 000 && exec "$@"', "sh",
            PYLFR, "fleet", "install", bundle, into, "--site", "hall", "--key", tmp_path / "fleet.pub",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    installed = [path for path in (tmp_path / "new").rglob("*") if not path.is_symlink()]
    assert {path.name for path in installed} >= {"site", "1", "deployment.toml", "models", "net.onnx", "bundle.json"}
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in installed if path.stat().st_mode & 0o077} == {}


@pytest.mark.parametrize(
    ("version", "site", "reason"), [(1, "hall", "an older bundle may bring back"), (3, "square", "is for 'hall'")]
)
def test_an_older_bundle_and_one_of_another_site_change_nothing(
    tmp_path: Path, key: SigningKey, version: int, site: str, reason: str
) -> None:
    into = tmp_path / "site"
    into.mkdir()
    install_bundle(pack(tmp_path, key, 2, "two"), into, site="hall", key=key.public)
    with pytest.raises(ConfigError, match=reason):
        install_bundle(pack(tmp_path, key, version, "other"), into, site=site, key=key.public)
    assert (into / "current" / "deployment.toml").read_text() == "two"


def test_a_bundle_of_somebody_else_and_a_changed_file_are_refused(tmp_path: Path, key: SigningKey) -> None:
    bundle, into = pack(tmp_path, key, 1, "one"), tmp_path / "site"
    into.mkdir()
    make_key(tmp_path / "other.key")
    with pytest.raises(ConfigError, match="was not signed with the key"):
        install_bundle(bundle, into, site="hall", key=read_signing_key(tmp_path / "other.key").public)
    changed = tmp_path / "changed"
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(changed, "x") as out:
        for name in source.namelist():
            out.writestr(name, b"evil" if name.endswith("net.onnx") else source.read(name))
    with pytest.raises(ConfigError, match=r"models/net\.onnx is not what was signed"):
        install_bundle(changed, into, site="hall", key=key.public)
    assert list(into.iterdir()) == []


def test_a_private_key_does_not_travel(tmp_path: Path, key: SigningKey) -> None:
    folder = content(tmp_path)
    make_key(folder / "record.key")
    with pytest.raises(ConfigError, match=r"record\.key is a private key"):
        pack_bundle(folder, tmp_path / "out", site="hall", version=1, made_at=NOW, key=key)
    assert not (tmp_path / "out").exists()


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, key: SigningKey) -> None:
    import base64
    import hashlib

    from pylfr._internal.canonical_json import canonical

    fields = {
        "format": "pylfr-site-bundle-1", "site": "hall", "version": 1, "made_at": "2026-03-01T00:00:00.000Z",
        "files": {"../escaped": hashlib.sha256(b"x").hexdigest()},
    }  # fmt: skip
    text = canonical(fields)  # type: ignore[arg-type]
    bundle = tmp_path / "bundle"
    with zipfile.ZipFile(bundle, "x") as out:
        out.writestr("bundle.json", text)
        out.writestr("bundle.signature", base64.b64encode(key.sign(text)))
        out.writestr("files/../escaped", b"x")
    (tmp_path / "site").mkdir()
    with pytest.raises(ConfigError, match="outside its folder"):
        install_bundle(bundle, tmp_path / "site", site="hall", key=key.public)
    assert not (tmp_path / "escaped").exists()
