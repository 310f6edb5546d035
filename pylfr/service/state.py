"""What routes and pages share, as ``build_app`` puts it beside the application."""

from __future__ import annotations

from fastapi import Request

from pylfr.service.control import RunControl
from pylfr.service.desk import Desk
from pylfr.service.listing import Listing
from pylfr.service.overview import Overview


def desk_of(request: Request) -> Desk:
    """The alerts."""
    desk: Desk = request.app.state.desk
    return desk


def overview_of(request: Request) -> Overview:
    """The deployment at a glance."""
    overview: Overview = request.app.state.overview
    return overview


def control_of(request: Request) -> RunControl:
    """The run beside the service."""
    control: RunControl = request.app.state.control
    return control


def listing_of(request: Request) -> Listing:
    """The watchlist."""
    listing: Listing = request.app.state.listing
    return listing
