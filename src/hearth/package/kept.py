"""The site of a bundle of Hearth's cache, kept beside it: written once, and gone with it."""

from __future__ import annotations

import json
from pathlib import Path

from hearth.bundle import Bundle
from hearth.bundle.failures import storage_errors
from hearth.bundle.writer import discard
from hearth.package.site import FORMAT_VERSION, MODEL, PAGE, write_site

_NAME = "site-"


def kept_site(bundle: Bundle) -> Path:
    """The folder of a bundle's site, within the bundle's own; made where it is not there yet, or has an older page.

    Raises: as `write_site`.
    """
    built = json.loads((PAGE / "build.json").read_text(encoding="utf-8"))["sources_sha256"]
    place = bundle.path / f"{_NAME}{FORMAT_VERSION}-{built[:16]}"
    if (place / MODEL).is_file():
        return place
    with storage_errors("write", place):
        for older in bundle.path.glob(f"{_NAME}*"):
            discard(older)
    write_site(bundle, place)
    return place
