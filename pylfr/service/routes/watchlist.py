"""The watchlist: who is on it and why; enrol, review, withdraw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from pylfr.service.access import Allow, Caller, people_only
from pylfr.service.deployment_views import BecauseAsked, EnrolmentAsked, ListedPersonView, WatchlistView
from pylfr.service.once import OnceRoute
from pylfr.service.problems import found
from pylfr.service.state import listing_of

router = APIRouter(prefix="/v1/watchlist", tags=["watchlist"], route_class=OnceRoute)
Reader = Annotated[Caller, Depends(Allow(people_only("supervisor", "auditor")))]
Keeper = Annotated[Caller, Depends(Allow(people_only("supervisor")))]


@router.get("")
def show_the_watchlist(_: Reader, request: Request) -> WatchlistView:
    """Everybody on the list, with the origin and the review of every reference image."""
    return listing_of(request).show()


@router.post("/entries", status_code=201)
def enrol(asked: EnrolmentAsked, keeper: Keeper, request: Request) -> ListedPersonView:
    """Propose a reference image. It is refused with every reason of the quality gate and of the policy."""
    return listing_of(request).enrol(asked, by=keeper.name)


@router.post("/entries/{entry}/reviews", status_code=201)
def review(entry: int, keeper: Keeper, request: Request) -> ListedPersonView:
    """Record a review of an entry; where the policy wants two, whoever proposed it is refused."""
    return found(lambda: listing_of(request).review(entry, by=keeper.name), _named(entry))


@router.delete("/entries/{entry}", status_code=204)
def withdraw(entry: int, asked: BecauseAsked, keeper: Keeper, request: Request) -> None:
    """Take somebody off the list, also while the engine runs, which follows. Recorded with the reason."""
    found(lambda: listing_of(request).withdraw(entry, by=keeper.name, because=asked.because), _named(entry))


def _named(entry: int) -> str:
    return f"entry {entry} on the watchlist"
