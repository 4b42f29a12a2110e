"""What an answer must keep to: `response_format`, checked, as a grammar for llguidance.

Everything in it is a stranger's: it is bounded in size before anything is compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from hearth.chat.grammar import Grammars, Matcher
from hearth.chat.structured_keep import Kept, kept_schema
from hearth.chat.structured_schema import checked_schema
from hearth.errors import UsageError

MAX_GRAMMAR_CHARS = 64 << 10
MAX_REGEX_CHARS = 10_000

# Between the tokens of JSON, for llguidance. "compact": a blank after a comma or colon, as models write it, or none;
# small models do not stop writing blanks where they may. "pretty": what pretty-printers write, a blank line at most.
WHITESPACE: Mapping[str, Mapping[str, Any]] = {
    "compact": {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"},
    "pretty": {"whitespace_pattern": r"[\x20\x09]{1,40}|(\x0D?\x0A){1,2}[\x20\x09]{0,40}"},
}
_JSON_OPTIONS = {"json_allow_general_unicode_escapes": True}
_HINT = (
    'Known: {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {...}}},'
    ' {"type": "grammar", "grammar": "..."}, {"type": "regex", "regex": "..."}.'
)
_FIELDS = {
    "text": (),
    "json_object": ("whitespace",),
    "json_schema": ("json_schema", "whitespace"),
    "grammar": ("grammar",),
    "regex": ("regex",),
}


@dataclass(frozen=True)
class Structure:
    """What an answer must keep to.

    Attributes:
        grammar: for `Grammars.matcher`.
        what: names it in messages.
        rule: the right side of a rule that says the same in a larger grammar, where it is JSON; "" where not.
        notices: what the caller should know: which parts of a schema are not kept to.
    """

    grammar: str
    what: str
    rule: str = ""
    notices: tuple[str, ...] = ()

    def matcher(self, grammars: Grammars) -> Matcher:
        """Raises UsageError where it has a mistake, or is too complex; see `Grammars.matcher`."""
        return grammars.matcher(self.grammar, self.what)


def checked_format(response_format: object) -> Structure | None:
    """What a caller's `response_format` asks for; None where it asks for nothing.

    Raises:
        UsageError: it is none of the forms, too large, or has a mistake that can be seen without compiling it.
    """
    if response_format is None:
        return None
    where = "response_format"
    if not isinstance(response_format, Mapping):
        raise UsageError(f"{where} is of type {type(response_format).__name__}, but must be an object.", hint=_HINT)
    kind = response_format.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise UsageError(f"{where}.type is {str(kind)[:100]!r}.", hint=_HINT)
    for key in response_format:
        if key != "type" and key not in _FIELDS[kind]:
            raise UsageError(f"{where} has a field {str(key)[:100]!r}, which {kind!r} does not have.", hint=_HINT)
    given = response_format.get(kind)
    whitespace = response_format.get("whitespace", "compact")
    if whitespace not in WHITESPACE:
        raise UsageError(f"{where}.whitespace is {str(whitespace)[:100]!r}.", hint=f"Known: {', '.join(WHITESPACE)}.")
    match kind:
        case "text":
            return None
        case "json_object":
            return _json_structure(Kept({"type": "object"}), where, whitespace)
        case "json_schema":
            return _from_schema(given, f"{where}.json_schema", whitespace)
        case "grammar":
            lark = _checked_text(given, f"{where}.grammar", MAX_GRAMMAR_CHARS)
            _check_schemas_in(lark, f"{where}.grammar")
            return Structure(LLMatcher.grammar_from_lark(lark), f"{where}.grammar")
        case _:
            regex = _checked_text(given, f"{where}.regex", MAX_REGEX_CHARS)
            return Structure(LLMatcher.grammar_from_regex(regex), f"{where}.regex")


def json_rule(schema: Mapping[str, Any], whitespace: str = "compact") -> str:
    """The right side of a rule for JSON that a kept schema holds for."""
    return "%json " + json.dumps({**schema, "x-guidance": {**_JSON_OPTIONS, **WHITESPACE[whitespace]}})


def _json_structure(kept: Kept, what: str, whitespace: str) -> Structure:
    rule = json_rule(kept.schema, whitespace)
    return Structure(LLMatcher.grammar_from_lark(f"start: {rule}"), what, rule, kept.notices)


def _from_schema(given: object, where: str, whitespace: str) -> Structure:
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is missing, or no object.", hint=_HINT)
    for key, value in given.items():
        if key not in ("name", "description", "schema", "strict"):
            raise UsageError(f"{where} has a field {str(key)[:100]!r}, which is not supported.", hint=_HINT)
        if key in ("name", "description") and not isinstance(value, str | None):
            raise UsageError(f"{where}.{key} is of type {type(value).__name__}, but must be text.")
        if key == "strict" and not isinstance(value, bool | None):
            raise UsageError(f"{where}.strict is of type {type(value).__name__}, but must be true or false.")
    if "schema" not in given:
        raise UsageError(f"{where}.schema is missing.", hint=_HINT)
    schema = checked_schema(given["schema"], f"{where}.schema")
    kept = kept_schema(schema, f"{where}.schema", strict=bool(given.get("strict")))
    return _json_structure(kept, f"{where}.schema", whitespace)


def _check_schemas_in(lark: str, where: str) -> None:
    """The schemas that a grammar holds are bounded as any other, and kept to wholly: they stay as they are written."""
    for found in re.finditer(r"%json\s*", lark):
        place = f"{where}, %json in line {lark.count(chr(10), 0, found.start()) + 1}"
        try:
            schema, _ = json.JSONDecoder().raw_decode(lark, found.end())
        except (ValueError, RecursionError) as error:
            # Whatever another parser would make of it: what cannot be checked is not compiled, be it in a comment.
            raise UsageError(f"{place} is not followed by a JSON schema.") from error
        kept_schema(checked_schema(schema, place), place, strict=True)


def _checked_text(given: object, where: str, limit: int) -> str:
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"{where} is missing, empty or no text.", hint=_HINT)
    if len(given) > limit:
        raise UsageError(f"{where} is {len(given)} characters long; at most {limit} are accepted.")
    if any("\ud800" <= character <= "\udfff" for character in given):
        raise UsageError(f"{where} holds half of a surrogate pair, which no text can hold.")
    return given
