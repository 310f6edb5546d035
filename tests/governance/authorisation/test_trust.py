"""A root of trust names officers with their keys, in a file that whoever operates cannot write."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.trust import read_trust_root
from pylfr.governance.keys.keys import PublicKey

ONE, OTHER = (PublicKey(bytes([number]) * 32) for number in range(2))


def written(folder: Path, text: str | None = None) -> Path:
    path = folder / "trusted.toml"
    path.write_text(
        text
        or f"""
[officers]
"Supt A Example" = "{ONE.text}"
[measurers]
"Evaluation unit" = "{OTHER.text}"
"""
    )
    path.chmod(0o644)
    return path


def test_a_root_says_whose_keys_count(tmp_path: Path) -> None:
    root = read_trust_root(written(tmp_path))
    assert root.officer_flaw(ONE, " supt a  EXAMPLE") is None
    assert root.officer_flaw(OTHER, "Supt A Example") == (
        f"the key {OTHER.fingerprint} is none of the officers' in {tmp_path / 'trusted.toml'}"
    )
    assert "is that of 'Supt A Example'" in (root.officer_flaw(ONE, "Supt B Example") or "")
    assert list(root.measurers) == [OTHER]
    assert len(root.sha256) == 64


def test_what_whoever_runs_it_could_have_written_is_within_reach(tmp_path: Path) -> None:
    path, another = written(tmp_path), 54321
    if me := tmp_path.stat().st_uid:
        assert f"{path} belongs to whoever runs this" in read_trust_root(path, user=me).reach[0]
    assert read_trust_root(path, user=another).reach == ()
    path.chmod(0o666)
    assert "can be written by others (mode 666)" in read_trust_root(path, user=another).reach[0]
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    assert f"{tmp_path} can be written by others" in read_trust_root(path, user=another).reach[0]
    assert "root can write every file" in read_trust_root(path, user=0).reach[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[measurers]", "officers: Field required"),
        ("[officers]", "officers: .* at least 1"),
        ('[officers]\n"A" = "no key"', "officers: a public key is"),
        ('[officer]\n"A" = "x"', "unknown key 'officer': the nearest valid key is 'officers'"),
    ],
)
def test_a_file_that_names_nobody_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(AuthorisationError, match=words):
        read_trust_root(written(tmp_path, text))
    with pytest.raises(AuthorisationError, match="cannot be read"):
        read_trust_root(tmp_path / "missing.toml")
