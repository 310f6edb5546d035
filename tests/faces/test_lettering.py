"""Names of every script in pictures: drawn with their letters, or written as code points, and never cut by the edge."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pylfr.faces import lettering
from pylfr.faces.lettering import draw_text, fit_text, font_for

NAMES = ("Ada Lovelace", "Žofie Dvořáková", "Αλέξανδρος", "Наталья", "王小明", "محمد علي", "कमला देवी")


@pytest.fixture(autouse=True)
def _no_cache() -> None:
    for each in (lettering.font_for, lettering._fonts, lettering._font, lettering._warn_once, lettering._warn_of_shape):
        each.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_with_its_letters_or_as_code_points(name: str, caplog: pytest.LogCaptureFixture) -> None:
    shown, font = fit_text(name, size_px=20, width_px=600)
    if shown == name:
        assert len({bytes(font.getmask(each)) for each in name.replace(" ", "")}) > 1
        assert caplog.records == []
    else:
        assert "U+" in shown
        assert "install fonts-noto-core" in caplog.text


def test_without_any_font_the_letters_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    with caplog.at_level(logging.WARNING):
        shown, _ = fit_text("王", size_px=20, width_px=600)
        fit_text("王", size_px=20, width_px=600)
    assert shown == "U+738B"
    assert len(caplog.records) == 1
    assert "PYLFR_FONT" in caplog.text


def test_without_raqm_a_name_whose_letters_join_is_drawn_and_that_they_do_not_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    picture = Image.new("RGB", (340, 40), "white")
    for name in ("Ada Lovelace", "Наталья", "محمد علي", "محمد علي"):
        draw_text(ImageDraw.Draw(picture), (20, 8), name, size_px=20, fill=(0, 0, 0), width_px=300)
    assert np.asarray(picture).min() < 128
    said = [record.getMessage() for record in caplog.records if "Raqm" in record.getMessage()]
    assert len(said) == 1
    assert "محمد علي" in said[0]
    assert "install Pillow's wheel, or libraqm" in said[0]


def test_a_font_that_is_no_font_is_passed_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "NotoSans-Regular.ttf").write_text("no font")
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    assert font_for("王") is None


@pytest.mark.parametrize("name", ["Wolfeschlegelsteinhausenbergerdorff " * 3, "x", "王" * 80, ""])
def test_no_name_is_wider_than_its_place(name: str) -> None:
    shown, font = fit_text(name, size_px=20, width_px=300)
    assert font.getlength(shown) <= 300
    picture = Image.new("RGB", (340, 40), "white")
    draw_text(ImageDraw.Draw(picture), (20, 8), name, size_px=20, fill=(0, 0, 0), width_px=300)
    assert np.asarray(picture)[:, 325:].min() == 255
