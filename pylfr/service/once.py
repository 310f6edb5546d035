"""Idempotency keys: a request that is sent again gets the answer of the first, and nothing is done twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.routing import APIRoute

from pylfr.service.access import gate_of, rule_of
from pylfr.service.problems import ProblemError

HEADER = "idempotency-key"
_LONGEST_KEY = 200
# Answers that are remembered: an attacker cannot fill the memory.
_MOST = 2_000


@dataclass(slots=True, kw_only=True)
class _Request:
    """What was asked under a key, and its answer once there is one."""

    digest: str
    answer: asyncio.Future[Response]


class Once:
    """The answers to requests that had a key, by who asked; in memory: after a restart a key is a new one."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], _Request] = OrderedDict()

    async def answer(
        self, who: str, key: str, digest: str, make: Callable[[], Coroutine[None, None, Response]]
    ) -> Response:
        """The answer to the request; made once. Raises ``ProblemError`` where the key was used for another request."""
        known = self._known.get((who, key))
        if known is None:
            return await self._first((who, key), digest, make)
        if known.digest != digest:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"the Idempotency-Key {key!r} was used for another request: make one",
            )
        answer = await asyncio.shield(known.answer)
        return Response(answer.body, status_code=answer.status_code, headers=_replayed(answer))

    def forget(self) -> None:
        """Remember no answer of before: one may name somebody whose name was erased since."""
        for place in [place for place, request in self._known.items() if request.answer.done()]:
            del self._known[place]

    async def _first(
        self, place: tuple[str, str], digest: str, make: Callable[[], Coroutine[None, None, Response]]
    ) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._known[place] = _Request(digest=digest, answer=future)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        try:
            made = await make()
        except BaseException as error:
            # A refusal may be another one next time: only what was done is remembered.
            self._known.pop(place, None)
            future.set_exception(error)
            future.exception()
            raise
        future.set_result(made)
        return made


class OnceRoute(APIRoute):
    """A route whose changes may carry an ``Idempotency-Key``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        handle = super().get_route_handler()
        rule = rule_of(self)

        async def answer(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method in ("GET", "HEAD") or rule is None or rule.is_public:
                return await handle(request)
            if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
                raise ProblemError(
                    HTTPStatus.BAD_REQUEST, f"an Idempotency-Key has 1 to {_LONGEST_KEY} printable characters"
                )
            once: Once = request.app.state.once
            # Whoever may no longer ask gets no old answer either.
            who = gate_of(request).admit(request, rule).name
            asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
            return await once.answer(who, key, hashlib.sha256(asked).hexdigest(), lambda: handle(request))

        return answer


def _replayed(answer: Response) -> dict[str, str]:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return {**headers, "Idempotency-Replayed": "true"}
