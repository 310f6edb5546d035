"""How whole files are damaged: by what broke readers before, anywhere, and by chance."""

from __future__ import annotations

import random

from hypothesis import strategies as st

# What broke readers before.
NASTY = [
    b"[" * 100_000, b"{" * 5000, b'{"a":' * 3000, b"9" * 5000, b"1e9999", b"-1e9", b"1e9", b"NaN", b"Infinity", b"\0",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80",
    b'"\\ud800"', b"null", b"true", b"[]", b"{}", b"-1", b"9223372036854775808", b'"9999-12-31T23:59:59-12:00"',
    b'"0001-01-01T00:00:00+12:00"', b'"2026-01-01T00:00:00"', b"9999-12-31", b"\n", b"\r\n", b'"', b"", b"0x1p3",
    b"1_000", b"inf", b"nan", b"-inf", b"a.b.c.d.e.f.g.h" * 200 + b" = 1\n", b"[x]\n" * 2000, b",", b"\x1b[2J",
    b"\xe2\x80\xae", b"\xc2\x9b31m", b"\x7f" * 9, b"\xff\xff\xff\xff", b"\x80" * 12,
]  # fmt: skip
_LENGTHS = (0, 1, 2, 8, 40, 10_000)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with a few parts cut out, replaced, repeated or flipped; or something else altogether."""
    content = whole
    part = b""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.sampled_from(_LENGTHS)))
        part = draw(
            st.one_of(st.sampled_from(NASTY), st.binary(max_size=16), st.just(content[start:stop] * 2), st.just(b""))
        )
        content = content[:start] + part + content[stop:]
    return draw(st.sampled_from([content, content, content, part]))


def mutated(chance: random.Random, whole: bytes) -> bytes:
    """As ``damaged``, of one seeded stream of numbers: for runs of hours."""
    content = whole
    part = b""
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(content))
        stop = min(len(content), start + chance.choice(_LENGTHS))
        part = _part(chance, content[start:stop])
        content = content[:start] + part + content[stop:]
    return part if chance.random() < 0.1 else content


def _part(chance: random.Random, old: bytes) -> bytes:
    kind = chance.randrange(5)
    if kind == 0:
        return chance.choice(NASTY)
    if kind == 1:
        return chance.randbytes(chance.randint(0, 16))
    if kind == 2:
        return old * 2
    if kind == 3 and old:
        place = chance.randrange(len(old))
        return old[:place] + bytes([old[place] ^ (1 << chance.randrange(8))]) + old[place + 1 :]
    return b""
