"""What a file is that was named in place of a picture or a recording, by its first bytes: for messages that help."""

from __future__ import annotations

# Bytes at a place, and what begins so. Sources: the formats' own specifications, as in file(1)'s magic.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture or a camera's raw file"),
    (0, b"MM\0*", "a TIFF picture or a camera's raw file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\1\0", "a Windows icon"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"PK\3\4", "a ZIP archive or an office document"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"YUV4MPEG2", "raw video of YUV4MPEG2"),
    (0, b"\x1f\x07\0", "raw DV, as tapes have it"),
    (0, b"\x1f\x07\x3f", "raw DV, as tapes have it"),
    (0, b"\x1f\x07\xbf", "raw DV, as tapes have it"),
    (0, b"#EXTM3U", "a playlist of HLS"),
    (8, b"WAVE", "sound (WAV)"),
    (0, b"ID3", "sound (MP3)"),
    (0, b"fLaC", "sound (FLAC)"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (8, b"AVI ", "an AVI video"),
    (0, b".RMF", "a RealMedia film"),
    (4, b"ftyp", "a video or another file of MP4's family"),
    (4, b"moov", "a QuickTime video"),
)
# How text begins, in small letters.
_TEXTS = (
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<svg", "an SVG drawing"),
    ("<mpd", "a playlist of DASH"),
    ("<?xml", "an XML document"),
    ("{", "text"),
)
_SHOWN = 64


def kind_of_file(content: bytes) -> str | None:
    """What a file is whose first bytes, a few hundred of them, are ``content``; None where that is not known."""
    for place, signature, kind in _SIGNATURES:
        if content[place:].startswith(signature):
            return kind
    try:
        text = content[:_SHOWN].decode()
    except UnicodeDecodeError as error:
        # A character may be cut at the end of the part that was read; any other byte is no text.
        if error.start < _SHOWN - 4:
            return None
        text = content[: error.start].decode()
    if not text or any(ord(sign) < ord(" ") and sign not in "\t\r\n\f" for sign in text):
        return None
    begun = text.lstrip("\ufeff \t\r\n").lower()
    return next((kind for start, kind in _TEXTS if begun.startswith(start)), "text")
