"""What a model is called: one name, whatever a conversation or the page called it before."""

from __future__ import annotations

from hearth.errors import HearthError, ModelNotFound, did_you_mean
from hearth.hub import installed
from hearth.hub.catalogue import by_short_name
from hearth.hub.names import LocalPath, parse, parse_hub_name
from hearth.hub.propose import close_names
from hearth.server.models import Models


class NameProposed(ModelNotFound):
    """It is no model's name, but looks like some."""


def hub_name(name: str) -> str:
    """What opens this model of the hub, whatever files lie on this disk.

    Raises:
        NameProposed, ModelNotFound: it is no name that a model on the hub can have.
    """
    try:
        plain = str(parse_hub_name(name))
    except ModelNotFound as error:
        similar = [entry.name for entry in by_short_name(name)[:3]] or close_names(name)
        if not similar:
            raise
        what = f"{name.strip()[:100]} is not a model's whole name."
        raise NameProposed(what, hint=did_you_mean(similar)) from error
    return f"hf:{plain}" if isinstance(parse(plain), LocalPath) else plain


def known_name(models: Models, name: str) -> str:
    """The name by which the server knows the model that a conversation names; the same where it knows none.

    A conversation keeps the name that was good when it began: `owner/name` of what is `owner/name:Q4_K_M` in lists, or
    a file's name. The disk says which model that is. Reads the disk; nothing is downloaded.
    """
    known = {card.id for card in models.cards()}
    if not name or name in known:
        return name
    try:
        found = installed(f"hf:{parse_hub_name(name)}").name
    except HearthError:
        return name
    return found if found in known else name
