"""Whatever text is sent to the service, in a body, an address or a header, no line of its log is forged by it."""

from __future__ import annotations

import logging
from contextlib import suppress
from urllib.parse import quote

import httpx
import pytest

from pylfr.monitoring.logs import JsonFormatter, TextFormatter
from tests.cli.test_hostile_text import require_harmless
from tests.service.stand import Stand

HOSTILE = [
    "A\nFORGED\x1b[2J", "A\r\nFORGED\x9b31m", "A\u2028FORGED\u202e", "A\0\x7f", "<script>alert(1)</script>", "[red]",
    "../../etc/passwd", "%0a%0dFORGED", "\u200fA", "x" * 20_000, "\\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_at_every_entrance_of_the_service_is_answered_and_forges_no_line(
    text: str, stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    id_ = stand.alert(entry=text[:1000])
    answers = [stand.client().post("/v1/challenges", json={"name": text})]
    answers.append(stand.client().post("/v1/session", json={"nonce": text, "signature": text}))
    place = quote(text[:2000], safe="")
    paths = ["alerts", f"alerts/{place}", f"alerts/{id_}/pictures/{place}", f"cameras/{place}/preview", "audit"]
    for name in ("Ann", "Dee"):
        client = stand.client(name)
        asked = {"camera": text, "cursor": text, "last": text}
        answers += [client.get(f"/v1/{path}", params=asked) for path in paths]
        # A line break in a header is a header of its own, or refused before it is sent.
        with suppress(httpx.LocalProtocolError):
            answers.append(client.get("/desk", headers=[(b"Accept-Language", text.encode("utf-8", "replace")[:200])]))
        decision = stand.signed(name, "adjudication", id_, "same person", reason=text)
        answers.append(client.post(f"/v1/alerts/{id_}/verdicts", json=decision))
        answers.append(client.post(f"/v1/alerts/{place}/verdicts", json={**decision, "what": text, "signature": text}))
        answers.append(client.post("/v1/deployment/stop", json={"reason": text}))
        answers.append(client.delete(f"/v1/watchlist/entries/{place}"))
    for answer in answers:
        assert answer.status_code < 500, (answer.request.method, answer.request.url, answer.text[:300])
        _require_no_forged_header(answer)
    for formatter in (TextFormatter(), JsonFormatter()):
        for record in caplog.records:
            if record.name.startswith(("pylfr", "uvicorn")):
                require_harmless(formatter.format(record), is_set_in=record.exc_info is not None)
    assert list(stand.audit.entries()), "the log can still be read"


def _require_no_forged_header(answer: httpx.Response) -> None:
    for name, value in answer.headers.items():
        assert "FORGED" not in name
        assert value.isprintable()
