"""What tools return besides text: a picture or a file that the model cannot read becomes a line that says so.

The user's own pictures are refused, since the question is about them. A tool's picture is one of many results in a
long session: refused, it would be refused again in every later request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, Discriminator

from hearth.server.warning import warn
from hearth.server.wire import Body, ShortText

_KIND: Final = re.compile(r"[a-z_]{1,40}")
_NAMES: Final = {
    "image": "picture",
    "image_url": "picture",
    "input_image": "picture",
    "computer_screenshot": "picture",
    "audio": "sound",
    "input_audio": "sound",
    "document": "document",
    "file": "file",
    "input_file": "file",
}


class LeftOut(Body):
    """A part of a tool's result that is no text."""

    model_config = ConfigDict(extra="allow")
    type: ShortText

    @property
    def text(self) -> str:
        """What the model reads in its place."""
        kind = _NAMES.get(self.type) or (self.type if _KIND.fullmatch(self.type) else "part of another kind")
        warn("left out", f"{kind} in a tool result")
        return f"[Here the tool returned a {kind}. It was left out, since you cannot see it.]"


def text_or(*kinds: str) -> Discriminator:
    """Chooses among the parts of a result: tag `(KIND)` for these, `(other)` for the rest."""

    def tag(value: Any) -> str | None:
        kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        if not isinstance(kind, str):
            return None
        return f"({kind})" if kind in kinds else "(other)"

    return Discriminator(tag, custom_error_type="kind", custom_error_message="must be an object with a type")
