"""Answers with a list that may be long: written in a thread, piece by piece, so that nobody waits for it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import Response

_AT_ONCE: Final = 200  # items: the JSON encoder keeps Python's lock until it is done


async def long_list(name: str, items: Iterable[Any], **others: Any) -> Response:
    """A JSON object with `items`, which are made as they are written, under `name` and `others` beside it."""
    body = await run_sync(lambda: "".join(_written(name, items, others)).encode("utf-8", "replace"))
    return Response(body, media_type="application/json")


def _written(name: str, items: Iterable[Any], others: dict[str, Any]) -> Iterator[str]:
    yield json.dumps(others, ensure_ascii=False)[:-1] + (", " if others else "") + f'"{name}": ['
    rest, comma = iter(items), ""
    while piece := list(islice(rest, _AT_ONCE)):
        yield comma + json.dumps(piece, ensure_ascii=False, separators=(",", ":"))[1:-1]
        comma = ","
    yield "]}"
