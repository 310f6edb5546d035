"""The watchlist: who is on it and why; enrol, review, withdraw."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request

from pylfr.service.access import Allow, Caller, people_only
from pylfr.service.deployment_views import CameraAsked, EnrolmentAsked, ListedPersonView, WatchlistView
from pylfr.service.listing import Listing
from pylfr.service.once import OnceRoute
from pylfr.service.problems import ProblemError

router = APIRouter(prefix="/v1/watchlist", tags=["watchlist"], route_class=OnceRoute)
Reader = Annotated[Caller, Depends(Allow(people_only("supervisor", "auditor")))]
Keeper = Annotated[Caller, Depends(Allow(people_only("supervisor")))]

T = TypeVar("T")


@router.get("")
def show_the_watchlist(_: Reader, request: Request) -> WatchlistView:
    """Everybody on the list, with the origin and the review of every reference image."""
    return _listing(request).show()


@router.post("/entries", status_code=201)
def enrol(asked: EnrolmentAsked, keeper: Keeper, request: Request) -> ListedPersonView:
    """Propose a reference image. It is refused with every reason of the quality gate and of the policy."""
    return _listing(request).enrol(asked, by=keeper.name)


@router.post("/entries/{entry}/reviews", status_code=201)
def review(entry: int, keeper: Keeper, request: Request) -> ListedPersonView:
    """Record a review of an entry; where the policy wants two, whoever proposed it is refused."""
    return _found(lambda listing: listing.review(entry, by=keeper.name), request, entry)


@router.delete("/entries/{entry}", status_code=204)
def withdraw(entry: int, asked: CameraAsked, keeper: Keeper, request: Request) -> None:
    """Take somebody off the list, also while the engine runs, which follows. Recorded with the reason."""
    _found(lambda listing: listing.withdraw(entry, by=keeper.name, because=asked.because), request, entry)


def _listing(request: Request) -> Listing:
    listing: Listing = request.app.state.listing
    return listing


def _found(ask: Callable[[Listing], T], request: Request, entry: int) -> T:
    try:
        return ask(_listing(request))
    except KeyError:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no entry {entry} on the watchlist") from None
