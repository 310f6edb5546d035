"""Text in pictures: names of any script, in a font that has their letters, no wider than their place.

Pillow's own font has Latin letters alone. Fonts of wide coverage are looked for where Linux systems keep them; Arabic
and Devanagari are shaped by Raqm where Pillow has it, as its wheels do.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont, features

log = logging.getLogger(__name__)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]

# A font file that is tried before all others.
FONT_VARIABLE = "PYLFR_FONT"

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "/System/Library/Fonts")
# Tried in this order; within it by name. Regular weights of families with many scripts come first.
_PREFERRED = ("NotoSans-Regular", "DejaVuSans.ttf", "NotoSans", "DroidSansFallback", "Noto", "unifont", "FreeSans")
_MOST_FONTS = 400

_LEAST_PX = 11
_ELLIPSIS = "..."

# No font has a letter for this: what is drawn for it is drawn for every letter that a font lacks.
_NO_LETTER = "\U0010fffe"


def draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *, size_px: int, fill: Colour, width_px: float
) -> None:
    """Draw one line, its upper left corner at ``place``: smaller, and at last shortened, until it fits ``width_px``."""
    shown, font = fit_text(text, size_px=size_px, width_px=width_px)
    draw.text(place, shown, fill=fill, font=font)


def fit_text(text: str, *, size_px: int, width_px: float) -> tuple[str, Font]:
    """What of ``text`` fits into ``width_px``, and its font. Letters that no font has are written as code points."""
    if _needs_shaping(text) and not features.check("raqm"):
        _warn_of_shape(text)
    path = font_for(text)
    if path is None and not _has_letters(ImageFont.load_default(size_px), text):
        _warn_once("".join(sorted(set(text))))
        text = "".join(each if each.isascii() else f"U+{ord(each):04X} " for each in text).strip()
    for size in range(size_px, _LEAST_PX - 1, -1):
        font = _font(path, size)
        if font.getlength(text) <= width_px:
            return text, font
    font = _font(path, _LEAST_PX)
    while text and font.getlength(text + _ELLIPSIS) > width_px:
        text = text[:-1]
    return text + _ELLIPSIS, font


@cache
def font_for(text: str) -> Path | None:
    """The first font that has every letter of ``text``; None for Pillow's own, and where there is none."""
    if text.isascii():
        return None
    for path in _fonts():
        try:
            if _has_letters(_font(path, 16), text):
                return path
        except OSError:
            continue
    return None


def _has_letters(font: Font, text: str) -> bool:
    absent = bytes(font.getmask(_NO_LETTER))
    return all(each.isspace() or bytes(font.getmask(each)) != absent for each in set(text) if not _joins(each))


def _joins(sign: str) -> bool:
    """Whether a sign shows only together with others, so that alone it proves nothing."""
    return unicodedata.category(sign) in ("Mn", "Mc", "Me", "Cf")


@cache
def _fonts() -> tuple[Path, ...]:
    named = os.environ.get(FONT_VARIABLE)
    found = [
        path
        for folder in _FOLDERS
        for path in sorted(Path(folder).expanduser().glob("**/*"))
        if path.suffix.lower() in (".ttf", ".otf", ".ttc")
        and not any(word in path.stem for word in ("Bold", "Italic", "Oblique", "Mono", "Condensed", "Emoji"))
    ]

    def order(path: Path) -> tuple[int, str]:
        places = (place for place, start in enumerate(_PREFERRED) if path.name.startswith(start))
        return next(places, len(_PREFERRED)), path.name

    return (*((Path(named),) if named else ()), *sorted(found, key=order)[:_MOST_FONTS])


@cache
def _font(path: Path | None, size: int) -> Font:
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(str(path), size)


def _needs_shaping(text: str) -> bool:
    """Whether letters change their form or place with their neighbours: right to left, Indic, South-East Asian."""
    return any(
        unicodedata.bidirectional(sign) in ("R", "AL") or unicodedata.category(sign) == "Mc"
        or unicodedata.combining(sign) == _VIRAMA
        for sign in text
    )  # fmt: skip


_VIRAMA = 9


@cache
def _warn_of_shape(text: str) -> None:
    log.warning(
        "this Pillow has no Raqm: the letters of %r are drawn one by one, neither joined nor in their order; install "
        "Pillow's wheel, or libraqm",
        text,
    )


@cache
def _warn_once(letters: str) -> None:
    log.warning(
        "no font on this system has all the letters of %r, which are written as code points in pictures: install "
        "fonts-noto-core and fonts-noto-cjk, or name a font file in %s",
        letters,
        FONT_VARIABLE,
    )
