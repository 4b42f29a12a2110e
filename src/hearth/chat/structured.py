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
from hearth.chat.structured_schema import Schema, blame, checked_schema
from hearth.errors import UsageError

MAX_GRAMMAR_CHARS = 64 << 10
MAX_REGEX_CHARS = 10_000

# Between the tokens of JSON: what pretty-printers write, a blank line at most, but no endless row of blanks, where
# small models end up.
_JSON_OPTIONS: Any = {
    "whitespace_pattern": r"[\x20\x09]{1,40}|(\x0D?\x0A){1,2}[\x20\x09]{0,40}",
    "json_allow_general_unicode_escapes": True,
}
_HINT = (
    'Known: {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {...}}},'
    ' {"type": "grammar", "grammar": "..."}, {"type": "regex", "regex": "..."}.'
)
_FIELDS = {"text": "", "json_object": "", "json_schema": "json_schema", "grammar": "grammar", "regex": "regex"}


@dataclass(frozen=True)
class Structure:
    """What an answer must keep to.

    Attributes:
        grammar: for `Grammars.matcher`.
        what: names it in messages.
        schema: where it is a JSON schema; None where not.
    """

    grammar: str
    what: str
    schema: Schema | None = None

    def matcher(self, grammars: Grammars) -> Matcher:
        """Raises UsageError where it has a mistake, names its place; see `Grammars.matcher`."""
        try:
            return grammars.matcher(self.grammar, self.what)
        except UsageError as error:
            if self.schema is None:
                raise
            place, fault = blame(self.schema, self.what, lambda part: grammars.fault_of(_json_grammar(part)))
            if place == self.what or not fault:
                raise
            raise UsageError(f"{place} cannot be used:", why=fault) from error


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
        if key not in ("type", _FIELDS[kind]):
            raise UsageError(f"{where} has a field {str(key)[:100]!r}, which {kind!r} does not have.", hint=_HINT)
    given = response_format.get(_FIELDS[kind])
    match kind:
        case "text":
            return None
        case "json_object":
            return json_structure({"type": "object"}, where)
        case "json_schema":
            return _from_schema(given, f"{where}.json_schema")
        case "grammar":
            lark = _checked_text(given, f"{where}.grammar", MAX_GRAMMAR_CHARS)
            _check_schemas_in(lark, f"{where}.grammar")
            return Structure(LLMatcher.grammar_from_lark(lark), f"{where}.grammar")
        case _:
            regex = _checked_text(given, f"{where}.regex", MAX_REGEX_CHARS)
            return Structure(LLMatcher.grammar_from_regex(regex), f"{where}.regex")


def json_structure(schema: Schema, what: str) -> Structure:
    """JSON that a schema holds for; the schema is checked already."""
    return Structure(_json_grammar(schema), what, schema)


def json_rule(schema: Schema, options: Mapping[str, Any] = _JSON_OPTIONS) -> str:
    """The same as the right side of a rule in a larger grammar, written as llguidance's `options` say."""
    fields = schema if isinstance(schema, Mapping) else {} if schema else {"enum": []}
    return "%json " + json.dumps({**fields, "x-guidance": options})


def _json_grammar(schema: Schema) -> str:
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_JSON_OPTIONS)


def _from_schema(given: object, where: str) -> Structure:
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
    return json_structure(checked_schema(given["schema"], f"{where}.schema"), f"{where}.schema")


def _check_schemas_in(lark: str, where: str) -> None:
    """The schemas that a grammar holds are bounded as any other."""
    for found in re.finditer(r"%json\s*", lark):
        try:
            schema, _ = json.JSONDecoder().raw_decode(lark, found.end())
        except (ValueError, RecursionError):
            continue  # no JSON: the grammar's own mistake, or a comment
        line = lark.count("\n", 0, found.start()) + 1
        checked_schema(schema, f"{where}, %json in line {line}")


def _checked_text(given: object, where: str, limit: int) -> str:
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"{where} is missing, empty or no text.", hint=_HINT)
    if len(given) > limit:
        raise UsageError(f"{where} is {len(given)} characters long; at most {limit} are accepted.")
    return given
