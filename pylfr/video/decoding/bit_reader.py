"""Reads the headers of coded pictures bit by bit."""

from __future__ import annotations


class TooShortError(Exception):
    """A header ends before what it announces."""


class BitReader:
    """Bits of ``content``, the highest of each byte first. Every read raises ``TooShortError`` past the end."""

    def __init__(self, content: bytes) -> None:
        self._bits = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        """The next ``count`` bits as a number; 0 for none."""
        self._left -= count
        if self._left < 0:
            raise TooShortError
        return (self._bits >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.read(1))

    def unsigned(self) -> int:
        """A number in Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """A number in Exp-Golomb code with a sign, se(v)."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)
