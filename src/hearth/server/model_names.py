"""What models are called in requests: their own names, and the aliases that whoever runs the server gives them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase

from hearth.errors import HearthError, ModelNotFound, UsageError
from hearth.hub.ggufs import is_gguf, stem
from hearth.hub.names import LocalPath, can_mean, parse, parse_hub_name

_GGUF = ".gguf"


def model_id(name: str) -> str:
    """What a model is called in requests: its name, or for a path the last part of it."""
    parsed = parse(name)
    if not isinstance(parsed, LocalPath):
        return name.strip()
    path = parsed.path
    return stem(path.name) if is_gguf(path.name) else path.name


class ModelNames:
    """Finds the model that a name in a request means. A name is looked up and nothing else: neither a path that is
    opened nor something to download.

    Args:
        aliases: alias -> the name of a model, or "" for the first one. An alias may hold `*` (any text) and `?`.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = dict(aliases)

    def listed(self, known: Mapping[str, str]) -> dict[str, str]:
        """Aliases that are names, not patterns, and what each means: for clients that choose from a list."""
        plain = [alias for alias in self._aliases if not {"*", "?", "["} & set(alias)]
        return {alias: self.find(alias, known) for alias in plain if alias not in known}

    def check(self, known: Mapping[str, str]) -> None:
        """Raises UsageError where an alias leads to no model."""
        for alias, name in self._aliases.items():
            if name and self._own(name, known) is None:
                raise UsageError(f"The alias {alias!r} is for {name!r}, which is not served.", hint=_listed(known))

    def find(self, name: str | None, known: Mapping[str, str]) -> str:
        """The model's own name in requests.

        Args:
            name: as the client gives it; None or "": the first model.
            known: name in requests -> what opens the model, in order.

        Raises:
            ModelNotFound: no model is called so.
        """
        first = next(iter(known), None)
        if not name and first is not None:
            return first
        name = name or ""
        found = self._own(name, known)
        if found is None:
            alias = next((alias for alias in self._aliases if fnmatchcase(name, alias)), None)
            if alias is not None:
                found = self._own(self._aliases[alias], known) if self._aliases[alias] else first
        if found is None:
            raise ModelNotFound(f"This server has no model {name[:100]!r}.", hint=_listed(known))
        return found

    @staticmethod
    def _own(name: str, known: Mapping[str, str]) -> str | None:
        if name in known:
            return name
        of_source = next((own for own, source in known.items() if source == name), None)
        if of_source is not None:
            return of_source
        if name.lower().endswith(_GGUF) and name[: -len(_GGUF)] in known:
            return name[: -len(_GGUF)]
        return _on_the_hub(name, known)


def _on_the_hub(name: str, known: Mapping[str, str]) -> str | None:
    """The one known model of the hub that a name can mean: a GGUF file by its path, or by its repository alone."""
    found = []
    with suppress(HearthError):
        asked = parse_hub_name(name)
        for own in known:
            with suppress(HearthError):
                if can_mean(asked, parse_hub_name(own)):
                    found.append(own)
    return found[0] if len(found) == 1 else None


def _listed(known: Mapping[str, str]) -> str:
    return f"It has: {', '.join(known) or 'none'}."
