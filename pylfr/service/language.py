"""The reader's language: the first of their browser that there is a catalogue of, else English."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

from babel.messages.pofile import read_po
from fastapi import Request

LANGUAGES = ("en", "de")


def language_of(request: Request) -> str:
    """The language in which a request is answered."""
    for wish in request.headers.get("accept-language", "").split(","):
        language = wish.split(";")[0].strip().split("-")[0].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


@cache
def translator(language: str) -> Callable[[str], str]:
    """What gives English words in that language; words that the catalogue lacks stay English."""
    if language == LANGUAGES[0]:
        return str
    with (resources.files("pylfr.service") / "locale" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    known = {str(message.id): str(message.string) for message in catalogue if message.id and message.string}
    return lambda words: known.get(words, words)
