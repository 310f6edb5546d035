"""A sealed watchlist over HTTP: nobody is enrolled into it, and whoever is withdrawn is gone, once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.governance.keys.vault import make_vault_key
from tests.gallery.watchlist.test_sealed import enrolled
from tests.service.stand import standing


def test_somebody_is_withdrawn_from_a_sealed_list_once_and_the_list_is_still_the_signed_one(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "square.key", expires_at=sqlite_file.now() + timedelta(hours=1))
    enrolled(tmp_path / "plain.watchlist", ("Ada Lovelace", "Grace Hopper"))
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "square.sealed", key)
    signed = read_contents(tmp_path / "square.sealed", key).digest
    with standing(tmp_path, watchlist='file = "square.sealed"\nkey = "square.key"') as stand:
        dee, eve = stand.client("Dee"), stand.client("Eve")
        shown = eve.get("/v1/watchlist").json()
        assert (shown["sealed"], [each["name"] for each in shown["entries"]]) == (
            True,
            ["Ada Lovelace", "Grace Hopper"],
        )
        for refused in (
            dee.post("/v1/watchlist/entries", json={"name": "Alan Turing", "picture": "bm8="}),
            dee.post("/v1/watchlist/entries/1/reviews"),
        ):
            assert refused.status_code == 409
            assert "the watchlist is sealed, as it was signed for" in refused.json()["detail"]
        id_, nobodys = stand.alert(entry="Ada Lovelace"), stand.alert(entry="Alan Turing")
        ann = stand.client("Ann")
        assert ann.get(f"/v1/alerts/{id_}").json()["category"] == "wanted on warrant"
        assert ann.get(f"/v1/alerts/{nobodys}").json()["category"] is None
        because = {"because": "the warrant was withdrawn"}
        path = f"/v1/watchlist/entries/{shown['entries'][0]['id']}"
        assert eve.request("DELETE", path, json=because).status_code == 403
        assert dee.request("DELETE", path, json=because).status_code == 204
        # Sent again without a key, or after a restart: there is nobody left to withdraw.
        assert dee.request("DELETE", path, json=because).status_code == 404
        assert [each["name"] for each in eve.get("/v1/watchlist").json()["entries"]] == ["Grace Hopper"]
        assert ann.get(f"/v1/alerts/{id_}").json()["category"] is None
        assert "Grace Hopper" in dee.get("/watchlist").text
        (entry,) = stand.audit.entries("withdrawn")
    assert (entry.details["by"], entry.details["because"]) == ("Dee", "the warrant was withdrawn")
    assert "Lovelace" not in str(entry.details)
    assert read_contents(tmp_path / "square.sealed", key).digest == signed
