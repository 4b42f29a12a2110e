"""Pictures in requests: the bytes of a file, as text. Hearth fetches nothing for clients, and opens no file that they
name."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from hearth.server.errors import ApiError

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
