from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pylfr.cli import main
from tests.models.manifests import fetched_manifest, write

NETWORK = b"a network for tests"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder with one network, in a home without anything else."""
    folder = tmp_path / "own"
    write(folder, "mine", fetched_manifest(NETWORK, file="mine.onnx", licence="study-only"))
    (folder / "mine.onnx").write_bytes(NETWORK)
    monkeypatch.setenv("PYLFR_MODELS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def pylfr(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of the command line."""
    monkeypatch.setattr(sys, "argv", ["pylfr", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_list_says_what_is_here_and_what_is_not(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pylfr(monkeypatch, "models", "list") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["mine"].split()[1:] == ["detect", "study-only", "no", str(own)]
    assert rows["sface"].rstrip().endswith("not installed; fetch it")
    assert "not installed; import it" in rows["face_reid_0095"]


def test_list_goes_on_past_a_broken_manifest_and_names_it(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(own, "broken", "task = 7")
    assert pylfr(monkeypatch, "models", "list") == 0
    said = capsys.readouterr()
    assert "mine" in said.out
    assert "broken.toml" in said.err


def test_show_gives_the_licence_and_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pylfr(monkeypatch, "models", "show", "face_reid_0095") == 0
    shown = capsys.readouterr().out
    for part in ("Apache-2.0, any use", "128 px", "256 numbers", "0.478 for up to 500", "BGR"):
        assert part in shown


def test_verify_finds_an_altered_network(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pylfr(monkeypatch, "models", "verify") == 0
    assert "mine.onnx is right" in capsys.readouterr().out
    (own / "mine.onnx").write_bytes(b"altered")
    for arguments in (("verify",), ("verify", "mine")):
        assert pylfr(monkeypatch, "models", *arguments) == 1
        said = capsys.readouterr().err
        assert "mine.onnx must have sha256" in said
        assert said.count("\n") == 1


def test_a_restricted_licence_is_asked_for_and_then_noticed(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(own / "mine.onnx")
    assert pylfr(monkeypatch, "models", "import", path) == 1
    assert "--accept-licence study-only" in capsys.readouterr().err
    assert pylfr(monkeypatch, "models", "import", path, "--accept-licence", "study-only") == 0
    assert "notice mine: licence study-only: not for commercial use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("models", "show", "yunetn"), 1, "unknown network 'yunetn': did you mean yunet_n"),
        (("models", "fetch", "face_reid_0095"), 1, "cannot be fetched"),
        (("models", "import", "/nowhere"), 1, "/nowhere does not exist"),
        (("models", "frobnicate"), 2, "No such command"),
        (("models", "show"), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_status(
    arguments: tuple[str, ...],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pylfr(monkeypatch, *arguments) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert status == 2 or error.count("\n") == 1
