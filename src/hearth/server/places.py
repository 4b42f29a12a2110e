"""Where something stands in a request, in the words of its protocol.

`chat` names places as OpenAI's chat requests have them (`tools[0].function.parameters`). A client of another protocol,
or one that used another name, looks for them elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from hearth.errors import UsageError

Places = Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]
"""What to look for in a message, and what to write instead."""

_PARAM: Final = re.compile(r"[a-z_]+(?:\[\d+\]|\.[\w$-]+)+(?=[ :,])")


class FieldFault(UsageError):
    """A field of a request is at fault.

    Args:
        param: its place; None where that is not told.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "", param: str | None = None) -> None:
        super().__init__(what, why=why, hint=hint)
        self.param = param


def renamed(text: str, places: Places) -> str:
    """A message with the places as the client knows them."""
    for found, name in places:
        text = found.sub(name, text)
    return text


@contextmanager
def in_places(places: Places) -> Iterator[None]:
    """What is wrong with a request is told with the places as the client knows them."""
    try:
        yield
    except UsageError as error:
        what, why, hint = (renamed(text, places) for text in (error.what, error.why, error.hint))
        begins = _PARAM.match(what)
        raise FieldFault(what, why=why, hint=hint, param=begins[0] if begins else None) from error
