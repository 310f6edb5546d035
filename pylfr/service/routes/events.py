"""What happens, as it is recorded: server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from pylfr.service.access import DECIDERS, Allow, Caller, gate_of, readable
from pylfr.service.feed import Feed

router = APIRouter(prefix="/v1", tags=["events"])
Reader = Annotated[Caller, Depends(Allow(readable(*DECIDERS, "supervisor", scope="alerts")))]


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def follow_events(
    reader: Reader,
    request: Request,
    after: Annotated[int | None, Query(ge=0, le=2**53, description="as Last-Event-ID, for a new connection")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> StreamingResponse:
    """Alerts and decisions from entry `Last-Event-ID` of the log on. `reload` says: too much was missed, ask anew."""
    feed: Feed = request.app.state.feed

    def is_open() -> bool:
        return reader.person is None or gate_of(request).session(request) is not None

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    begin = after if last_event_id is None else last_event_id
    return StreamingResponse(
        feed.stream(begin, is_open=is_open),
        media_type="text/event-stream",
        headers=headers,
    )
