"""What several tests of the store put in it and read from it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from hearth.image import identify
from hearth.store import Attachment, Picture, Store


def talk(store: Store, question: str, answer: str, conversation: str | None = None, parent: str | None = None) -> str:
    """One turn and its answer; the conversation's id."""
    conversation = conversation or store.create().id
    asked = store.add_user_message(conversation, parent, question)
    running = store.begin_answer(conversation, asked.id, "starter")
    store.append(running.id, [("answer", piece) for piece in (answer[:3], answer[3:]) if piece])
    store.end_answer(running.id)
    return conversation


def png(height: int, width: int, *, seed: int = 0) -> bytes:
    """A picture of noise: about three bytes a pixel."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def attach_picture(store: Store, data: bytes, name: str = "a cat.png") -> Attachment:
    found = identify(data, name)
    return store.add_picture(name, data, Picture(found.media_type, found.height, found.width, len(data)), tokens=7)


def bytes_of(folder: Path) -> bytes:
    """Everything that stands in the files of a store."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
