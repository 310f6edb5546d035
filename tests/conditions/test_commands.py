"""What people type by mistake or break off: one line that says what is wrong, and nothing that was there is touched."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from pylfr.cli import main
from tests.cli.command import PYLFR, pylfr
from tests.footage import BOTH, NOBODY, WALKING, save_references, video
from tests.video.clips import write_clip


@dataclass(frozen=True)
class Mistake:
    """Words of a command, in a folder with a.mp4, faces/ada/ada.png, a.toml and a.json; what it says, its status."""

    words: str
    complaint: str
    status: int = 2


PERSON = "--person Ada=faces/ada/ada.png"
MISTAKES = (
    Mistake(f"try rtsp://192.0.2.1/a {PERSON}", "rehearsals are for recordings, got the address of a live"),
    Mistake(f"try a.mp4 {PERSON} --detect-hz 0", "--detect-hz must be more than 0"),
    Mistake(f"try a.mp4 {PERSON} --detect-hz nan", "--detect-hz must be more than 0"),
    Mistake("try a.mp4 --person Ada", "--person must be NAME=IMAGE"),
    Mistake("try a.mp4 --person Ada=", "--person must be NAME=IMAGE"),
    Mistake("try a.mp4", "Missing option '--person'; see `pylfr try --help`"),
    Mistake(f"try {PERSON}", "Missing argument"),
    Mistake(f"try a.mp4 {PERSON} --json a.mp4", "--json must be a file of its own, got a.mp4, which is an input"),
    Mistake(f"try a.mp4 {PERSON} --json ./faces/../a.mp4", "which is an input"),
    Mistake(f"try a.mp4 {PERSON} --json faces/ada/ada.png", "which is an input"),
    Mistake(f"try a.mp4 {PERSON} --json linked.mp4", "which is an input"),
    Mistake(f"try a.mp4 {PERSON} --out a.mp4", "--out must be a folder"),
    Mistake(f"try a.mp4 {PERSON} --json faces", "--json must be a file, got the folder faces", 1),
    Mistake(f"try a.mp4 {PERSON} --json nowhere/a.json", "the folder .*nowhere does not exist", 1),
    Mistake(f"try a.mp4 {PERSON} --threshold 64", "it is not a percentage"),
    Mistake(f"try \udcff.mp4 {PERSON}", r"names must be text in UTF-8, got '\\udcff.mp4'"),
    Mistake("calibrate faces --target-fpir 0.01 --watchlist-size 10 --out faces/ada/ada.png", "in the input faces"),
    Mistake("calibrate faces --target-fpir 2 --watchlist-size 10 --out a.json", "--target-fpir lies between"),
    Mistake("calibrate faces --target-fpir 0.01 --watchlist-size 10 --deployment a.toml --crowd --out a.toml",
            "which is an input"),
    Mistake("calibrate faces --target-fpir 0.01 --watchlist-size 10 --by ''", "must not be blank"),
    Mistake("evaluate faces --json faces/ada/ada.png", "in the input faces"),
    Mistake("evaluate faces --groups a.json --json a.json", "which is an input"),
    Mistake("evaluate faces --json b.json --cohort-certificate b.json", "which --json names too"),
    Mistake("evaluate faces --out faces/ada", "--out must be a folder of its own"),
    Mistake("evaluate faces --truth a.json --references faces --out report", "--out is for photographs"),
    Mistake("size --video a.mp4 --json a.mp4", "which is an input"),
    Mistake("size --video a.mp4 --plot a.mp4", "which is an input"),
    Mistake("size --resolution large", "--resolution must be WIDTHxHEIGHT"),
    Mistake("watchlist review a.db Ada --by ' ' --for gate", "must not be blank"),
    Mistake("watchlist copy a.db b.db --by ''", "must not be blank"),
    Mistake("watchlist enrol a.db Ada faces/ada/ada.png --by ' '", "must not be blank"),
    Mistake("watchlist withdraw a.toml Ada --by '' --because x", "must not be blank"),
    Mistake("watchlist withdraw a.toml Ada --by x --because ''", "must not be blank"),
    Mistake("alerts adjudicate a.toml abc --by '' --verdict same", "must not be blank"),
    Mistake("sweep a.toml --confirm-clock ''", "must not be blank"),
    Mistake("wachlist list", "Did you mean 'watchlist'"),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "a.mp4", frames=2)
    (tmp_path / "linked.mp4").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "faces" / "ada").mkdir(parents=True)
    for name in ("faces/ada/ada.png", "a.toml", "a.json"):
        (tmp_path / name).write_bytes(b"what was there")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[ascii(mistake.words) for mistake in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_is_touched(
    folder: Path, mistake: Mistake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, where a command takes no second to start."""
    before = content(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["pylfr", *shlex.split(mistake.words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert re.search(mistake.complaint, said[0].replace("error ", "", 1)), said
    assert ended.value.code == mistake.status
    assert content(folder) == before


def test_the_command_itself_ends_so(folder: Path) -> None:
    done = subprocess.run(
        [PYLFR, "try", b"\xff.mp4", "--person", "Ada=a.png"], capture_output=True, text=True, check=False, cwd=folder
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("models_dir")
def test_a_rehearsal_that_fails_leaves_the_results_of_the_one_before(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    (tmp_path / "a.jsonl").write_text("earlier\n")
    done = pylfr("try", clip, "--person", f"Ada={tmp_path / 'absent.png'}", "--json", tmp_path / "a.jsonl")
    assert done.returncode == 1
    assert (tmp_path / "a.jsonl").read_text() == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.mp4"]


@pytest.mark.parametrize("words", [("--help",), ("models", "list"), ("config", "schema")])
def test_an_output_that_nobody_reads_ends_in_one_line(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PYLFR, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 2
    assert done.stderr == "error whoever read stdout went away before all of it was written\n"


@pytest.mark.parametrize("wait_s", [0.05, 0.15, 0.3, 0.6, 1.0])
def test_ctrl_c_is_answered_in_one_line_from_the_first_moment(tmp_path: Path, wait_s: float) -> None:
    """From the first module of pylfr on; what Python does before that is its own."""
    # Work for longer than the longest wait. Whoever started the tests in the background may have SIGINT ignored.
    (tmp_path / "faces" / "ada").mkdir(parents=True)
    picture = tmp_path / "faces" / "ada" / "0.png"
    Image.new("RGB", (640, 640)).save(picture)
    for number in range(1, 1000):
        picture.with_name(f"{number}.png").hardlink_to(picture)
    heard = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    begun = subprocess.Popen(
        [sys.executable, "-c", f"{heard}; from pylfr.__main__ import main; os.write(1, b'.'); main()", "evaluate",
         "--detector", "pylfr_nano_detect", "--embedder", "pylfr_nano_embed", tmp_path / "faces"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path,
    )  # fmt: skip
    assert begun.stdout is not None
    assert begun.stdout.read(1) == "."
    time.sleep(wait_s)
    os.killpg(begun.pid, signal.SIGINT)
    _, said = begun.communicate(timeout=30)
    assert begun.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error interrupted")


def _hears(process: int, number: signal.Signals) -> bool:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_rehearsal_that_is_stopped_writes_what_it_has_and_does_not_say_that_it_is_done(
    media_dir: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    long = [video(media_dir, name) for name in (NOBODY, WALKING, BOTH)]
    person = save_references(media_dir, tmp_path)["man"][0]
    begun = subprocess.Popen(
        [PYLFR, "try", *long, "--person", f"man={person}", "--detect-hz", "1000", "--out", tmp_path / "out",
         "--detector", "scrfd_500m_kps", "--json", tmp_path / "a.jsonl"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until_s = time.monotonic() + 60
    # Once everything is open, SIGTERM is heard, and frames come.
    while not _hears(begun.pid, signal.SIGTERM) and begun.poll() is None and time.monotonic() < until_s:
        time.sleep(0.02)
    os.killpg(begun.pid, number)
    _, said = begun.communicate(timeout=60)
    assert begun.returncode == status, said
    assert "Traceback" not in said
    summary = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[-1])
    assert summary["stopped_because"] == f"stopped by {number.name}"
