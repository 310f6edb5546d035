"""A key in use lies in locked pages and is gone when it is given up; a governed process shows its memory to nobody."""

from __future__ import annotations

import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pylfr.governance.keys.memory import CLOSED, HALF_CLOSED, OPEN, LockedSecret
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from tests.governance.samples import NOON

ROOT = Path(__file__).parents[3]


def test_a_secret_is_what_was_put_in_and_zeros_when_it_is_wiped() -> None:
    content = secrets.token_bytes(33)
    held = LockedSecret.copy_of(content)
    assert (bytes(held.view), len(held)) == (content, 33)
    assert held == LockedSecret.copy_of(content)
    assert held != LockedSecret.random(33)
    assert held != LockedSecret.copy_of(content[:-1])
    assert held != content
    held.wipe()
    assert bytes(held.view) == bytes(33)


def test_random_secrets_differ_and_show_themselves_in_no_text() -> None:
    one, other = LockedSecret.random(32), LockedSecret.random(32)
    assert one != other
    assert bytes(one.view) != bytes(32)
    assert one.view.hex() not in repr(one)


@pytest.mark.parametrize("length", [0, -1])
def test_a_secret_of_no_bytes_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="1 byte or more"):
        LockedSecret(length)


def run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What Linux says of the page in which a key in use lies.
HOLDING = """
import ctypes, sys
from datetime import datetime
from pathlib import Path
import numpy as np
from pylfr.governance.keys.vault import read_vault_key
def locked_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmLck")).split()[1])
before = locked_kb()
key = read_vault_key(Path(sys.argv[1]), now=datetime.fromisoformat(sys.argv[2]), passphrase="correct horse")
address = np.frombuffer(key.secret.view, np.uint8).ctypes.data
print(key.secret.is_locked, locked_kb() - before, ctypes.string_at(address, 32) == bytes(key.secret.view))
flags = ""
for line in open("/proc/self/smaps"):
    head = line.split()
    if "-" in head[0] and not head[0].endswith(":"):
        begin, end = (int(side, 16) for side in head[0].split("-"))
        inside = begin <= address < end
    elif inside and head[0] == "VmFlags:":
        flags = " ".join(head[1:])
print(flags)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux says of its pages")
def test_a_vault_key_in_use_lies_in_locked_pages_that_are_left_out_of_dumps(tmp_path: Path) -> None:
    make_vault_key(tmp_path / "key", expires_at=NOON + timedelta(hours=1), passphrase="correct horse")
    first, flags = run(HOLDING, tmp_path / "key", NOON.isoformat()).splitlines()
    is_locked, locked_kb, is_there = first.split()
    assert is_there == "True"
    if is_locked == "True":
        assert int(locked_kb) >= 4
        assert "lo" in flags.split(), "the page is locked"
    assert "dd" in flags.split(), "the page is left out of dumps"


def test_a_key_that_is_wiped_reads_as_zeros_for_everybody_who_looks_at_it(tmp_path: Path) -> None:
    make_vault_key(tmp_path / "key", expires_at=NOON + timedelta(hours=1))
    key = read_vault_key(tmp_path / "key", now=NOON)
    view, content = key.secret.view, bytes(key.secret.view)
    assert any(content)
    key.secret.wipe()
    assert bytes(view) == bytes(32)


STATE = """
import resource
from pylfr.governance.keys.memory import close_memory, memory_state, refuse_core_dumps
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (4096 if hard else 0, hard))
print(memory_state())
refuse_core_dumps()
print(memory_state())
close_memory()
print(memory_state())
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux closes memory to debuggers")
def test_closing_is_said_as_the_system_has_it() -> None:
    before, half, closed, limit = run(STATE).splitlines()
    assert before in (OPEN, HALF_CLOSED)
    assert (half, closed, limit) == (HALF_CLOSED, CLOSED, "(0, 0)")


READS = """
import ctypes, os, sys
from pylfr.governance.keys.memory import close_memory
if os.getuid() == 0:
    # Root may read everything: be somebody who may not, and open, as a program of that user begins.
    os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
heard, say = os.pipe()
end, wait = os.pipe()
child = os.fork()
if child == 0:
    os.close(wait)
    if sys.argv[1] == "closed":
        close_memory()
    os.write(say, b"ready")
    os.read(end, 1)
    os._exit(0)
os.read(heard, 5)
try:
    open(f"/proc/{child}/mem", "rb").close()
    print("readable")
except PermissionError:
    print("refused")
os.close(wait)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux closes memory to debuggers")
def test_the_same_user_cannot_read_a_process_that_was_closed() -> None:
    assert run(READS, "closed") == "refused\n"
    assert run(READS, "open") == "readable\n"
