"""Pictures in requests: the bytes of a file, as text. Hearth fetches nothing for clients, and opens no file that they
name."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.errors import ApiError
from hearth.server.results import LeftOut
from hearth.server.wire import ClientBody, ShortText

_DATA_URL: Final = re.compile(r"data:(?P<type>[\w.+/-]*)(?P<more>(?:;[\w.=+-]+)*),", re.ASCII)
_NOT_FETCHED: Final = "Hearth fetches nothing and opens no files for clients: send the picture itself"


def bytes_of_base64(text: str, param: str) -> bytes:
    """The bytes that base64 stands for, in lines or in one. Raises ApiError for anything else."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"{param} is no base64 of a picture.", code="invalid_image", param=param) from None


def bytes_of_data_url(url: str, param: str) -> bytes:
    """The bytes of a `data:image/...;base64,` URL. Raises ApiError for anything else, also for URLs to be fetched."""
    found = _DATA_URL.match(url)
    if found is None:
        raise ApiError(400, f"{_NOT_FETCHED}, as a data URL.", code="invalid_image", param=param)
    if not found["type"].startswith("image/") or not found["more"].endswith(";base64"):
        raise ApiError(400, f"{param} must begin with data:image/...;base64, .", code="invalid_image", param=param)
    return bytes_of_base64(url[found.end() :], param)


def picture_bytes(text: str, param: str) -> bytes:
    """The bytes of a picture in base64, or in a data URL. Raises ApiError for anything else."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return bytes_of_data_url(text, param)
    return bytes_of_base64(text, param)


# -- pictures among the parts of a message -------------------------------------------------------------------------


class Pictured(ClientBody):
    """A part of a message that is a picture, in one protocol's form."""

    rules = field_tables.PICTURE

    def picture(self) -> bytes:
        """The bytes of its file. Raises ApiError for what stands for none."""
        raise NotImplementedError


def _needs_data_url(url: str | None) -> None:
    if url is None or not url.startswith("data:"):
        raise PydanticCustomError("picture", f"image_url must be a data URL: {_NOT_FETCHED}")


class ImageAddress(ClientBody):
    """OpenAI's object around a URL."""

    rules = field_tables.PICTURE
    url: str


class ImageUrlPart(Pictured):
    """A picture as chat completions have it: a data URL."""

    type: Literal["image_url"]
    image_url: ImageAddress | str

    @property
    def url(self) -> str:
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url

    @model_validator(mode="after")
    def _is_here(self) -> ImageUrlPart:
        _needs_data_url(self.url)
        return self

    def picture(self) -> bytes:
        return bytes_of_data_url(self.url, "messages")


class InputImagePart(Pictured):
    """A picture as responses have it: a data URL."""

    type: Literal["input_image"]
    image_url: str | None = None

    @model_validator(mode="after")
    def _is_here(self) -> InputImagePart:
        _needs_data_url(self.image_url)
        return self

    def picture(self) -> bytes:
        return bytes_of_data_url(self.image_url or "", "input")


class ImageSource(ClientBody):
    """Where Anthropic's block has its picture."""

    type: ShortText
    media_type: ShortText | None = None
    data: str | None = Field(default=None)


class ImageBlock(Pictured):
    """A picture as Anthropic's messages have it, in base64."""

    rules = field_tables.BLOCK
    type: Literal["image"]
    source: ImageSource

    @model_validator(mode="after")
    def _is_here(self) -> ImageBlock:
        if self.source.type != "base64" or self.source.data is None:
            raise PydanticCustomError("picture", f"source must be of type base64: {_NOT_FETCHED}")
        return self

    def picture(self) -> bytes:
        return bytes_of_base64(self.source.data or "", "messages")


class HasText(Protocol):
    """A part of a message that is read as text."""

    @property
    def text(self) -> str: ...


def contents(content: str | Sequence[HasText | Pictured] | None, *, sees: bool) -> str | list[dict[str, Any]]:
    """What a message holds as `LLM.prepare_chat` takes it: a text, its parts as lines; or, where there are pictures,
    texts and pictures in their order.

    Args:
        sees: whether the model does. Then pictures that tools returned are shown to it, too; else each is a line that
            says so. What a user sends is for the model to refuse.
    """
    if content is None or isinstance(content, str):
        return content or ""
    parts = [(part, _picture_of(part, sees)) for part in content]
    if all(picture is None for _, picture in parts):
        return "\n".join(part.text for part, _ in parts if not isinstance(part, Pictured))
    return [
        {"type": "text", "text": part.text} if not isinstance(part, Pictured) and picture is None
        else {"type": "image", "image": picture}
        for part, picture in parts
    ]  # fmt: skip


def _picture_of(part: HasText | Pictured, sees: bool) -> bytes | None:
    if isinstance(part, Pictured):
        return part.picture()
    return _returned(part) if sees and isinstance(part, LeftOut) else None


def _returned(part: LeftOut) -> bytes | None:
    """The bytes of a picture that a tool returned, in any protocol's form; None: it is something else, or elsewhere."""
    held = part.model_extra or {}
    source, address = held.get("source"), held.get("image_url")
    url = address.get("url") if isinstance(address, dict) else address
    try:
        if isinstance(source, dict) and part.type == "image" and isinstance(source.get("data"), str):
            return bytes_of_base64(source["data"], "messages")
        return bytes_of_data_url(url, "messages") if isinstance(url, str) else None
    except ApiError:
        return None


def joined_contents(
    before: str | list[dict[str, Any]], after: str | list[dict[str, Any]], *, between: str = "\n"
) -> str | list[dict[str, Any]]:
    """Two contents as one. `between`: what stands between texts."""
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}{between}{after}"
    parts = [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in (before, after)]
    return [*parts[0], *parts[1]]
