"""The hand-over of a shift: what is open, and who has taken it over."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from pylfr.service.access import DECIDERS, Allow, Caller, people_only
from pylfr.service.once import OnceRoute
from pylfr.service.shifts import Shifts
from pylfr.service.views import ShiftView, SignedHandOver

router = APIRouter(prefix="/v1/shift", tags=["shift"], route_class=OnceRoute)
Reader = Annotated[Caller, Depends(Allow(people_only(*DECIDERS, "supervisor")))]
Decider = Annotated[Caller, Depends(Allow(people_only(*DECIDERS)))]


@router.get("")
def show_the_shift(_: Reader, request: Request) -> ShiftView:
    """Every alert on which somebody still has to decide, and the last hand-over."""
    return _shifts(request).show()


@router.post("/hand-overs", status_code=201)
def take_over(given: SignedHandOver, person: Decider, request: Request) -> ShiftView:
    """Take over a shift: all open alerts acknowledged by name, signed in the browser."""
    return _shifts(request).take_over(given, person)


def _shifts(request: Request) -> Shifts:
    shifts: Shifts = request.app.state.shifts
    return shifts
