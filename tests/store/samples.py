"""What several tests of the store put in it and read from it."""

from __future__ import annotations

from pathlib import Path

from hearth.store import Store


def talk(store: Store, question: str, answer: str, conversation: str | None = None, parent: str | None = None) -> str:
    """One turn and its answer; the conversation's id."""
    conversation = conversation or store.create().id
    asked = store.add_user_message(conversation, parent, question)
    running = store.begin_answer(conversation, asked.id, "starter")
    store.append(running.id, [("answer", piece) for piece in (answer[:3], answer[3:]) if piece])
    store.end_answer(running.id)
    return conversation


def bytes_of(folder: Path) -> bytes:
    """Everything that stands in the files of a store."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
