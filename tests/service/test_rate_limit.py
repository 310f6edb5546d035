"""Requests that need no sign-in are limited per client address."""

from __future__ import annotations

import pytest

from pylfr.service import rate_limit
from pylfr.service.problems import ProblemError
from pylfr.service.rate_limit import RateLimit, client_address
from tests.service.stand import Stand


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_one_too_many_in_a_minute_is_refused_with_when_to_come_back_and_others_are_not() -> None:
    clock = Clock()
    limit = RateLimit(3, clock_s=clock)
    for _ in range(3):
        limit.take("10.0.0.1")
    clock.now_s += 20
    with pytest.raises(ProblemError, match="wait 41 s") as refused:
        limit.take("10.0.0.1")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "41"})
    limit.take("10.0.0.2")
    clock.now_s += 40
    limit.take("10.0.0.1")


def test_no_more_addresses_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MOST_ADDRESSES", 5)
    limit = RateLimit(1)
    for number in range(50):
        limit.take(f"address {number}")
    assert len(limit._asked) == 5


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1:aaaa::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::8", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_the_addresses_of_one_subscriber_of_ipv6_count_as_one(host: str, counts_as: str) -> None:
    assert client_address(host) == counts_as


def test_signing_in_is_limited_for_each_address(stand: Stand) -> None:
    client = stand.client()
    answers = [client.post("/v1/challenges", json={"name": "Ann"}) for _ in range(125)]
    assert [each.status_code for each in answers] == [201] * 120 + [429] * 5
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert int(answers[-1].headers["retry-after"]) > 0
    assert client.post("/v1/session", json={"nonce": "n", "signature": "A" * 86 + "=="}).status_code == 429
