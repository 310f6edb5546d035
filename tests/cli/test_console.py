"""Nothing that others wrote moves the cursor, colours the terminal or starts a line."""

from __future__ import annotations

import pytest
from rich.console import Console

from pylfr.cli.console import say, warn
from pylfr.cli.present import print_alert
from tests.samples import sample_alert

HOSTILE = "\x1b[2J\x1b]52;c;cm0=\x07Ada[bold red]\r\nerror nothing is wrong\u2028\u202e\x9b1m"


@pytest.mark.parametrize("show", [say, lambda text: warn("error", text)])
def test_what_others_wrote_is_one_printable_line(show: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(show)
    show(HOSTILE)
    out, err = capsys.readouterr()
    assert len((out + err).splitlines()) == 1
    assert (out + err).rstrip("\n").isprintable()
    assert "Ada[bold red]" in out + err


def test_an_alert_is_one_line_whatever_its_names_hold(capsys: pytest.CaptureFixture[str]) -> None:
    print_alert(sample_alert(entry=HOSTILE, camera=HOSTILE), Console())
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert out.rstrip("\n").isprintable()
