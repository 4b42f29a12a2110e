"""What a server of tests opens where a model has to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golden.vlm.lettered import write_lettered
from hearth.server.models import Models, ModelSettings

OPTIONS: dict[str, Any] = {"quant": "f32", "precision": "high", "threads": 2, "offline": True}


def seeing_models(place: Path) -> Models:
    """A model that sees, called `seeing`, made in a folder of `place`; and the starter, which does not."""
    folder = place / "seeing"
    folder.mkdir()
    write_lettered(folder)
    return Models([str(folder), "starter"], ModelSettings(**OPTIONS))
