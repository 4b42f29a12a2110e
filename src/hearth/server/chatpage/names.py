"""What a model is called: one name, whatever a conversation or the page called it before."""

from __future__ import annotations

from hearth.errors import HearthError
from hearth.hub import resolve
from hearth.hub.names import LocalPath, parse
from hearth.server.models import Models


def hub_name(name: str) -> str:
    """What opens this model of the hub, whatever files lie on this disk.

    Raises:
        ModelNotFound: it is no name that a model on the hub can have.
    """
    plain = str(parse(f"hf:{name.strip().removeprefix('hf:')}"))
    return f"hf:{plain}" if isinstance(parse(plain), LocalPath) else plain


def known_name(models: Models, name: str) -> str:
    """The name by which the server knows the model that a conversation names; the same where it knows none.

    A conversation keeps the name that was good when it began: `owner/name` of what is `owner/name:Q4_K_M` in lists, a
    file's name from before. The disk says which model that is. Reads the disk; nothing is downloaded.
    """
    known = {card.id for card in models.cards()}
    if not name or name in known:
        return name
    try:
        found = resolve(hub_name(name), offline=True).name
    except HearthError:
        return name
    return found if found in known else name
