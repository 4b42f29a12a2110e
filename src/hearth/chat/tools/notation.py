"""Arguments in Gemma's own notation: JSON's structure, bare keys, and a token of its own around each string.

    {city:<escape>Paris<escape>,days:3,units:{wind:<escape>kn<escape>}}

Read here into JSON as it comes, and written as a grammar that follows a schema. The notation has no escapes: a string
holds any text but its delimiter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.jsonscan import SPACE, is_atom
from hearth.chat.tools.lark import Markers, pattern, quoted
from hearth.chat.tools.reader import END, CallReader, Chars, NotACall, in_string
from hearth.chat.tools.schema import ANNOTATIONS, bounded, json_rule

_MAX_DEPTH = 32
_NAME = re.compile(r"[\w.-]+")
_SCALARS = ("integer", "number", "boolean", "null")
_SCALAR_KEYS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_KNOWN = {
    "string": {"minLength", "maxLength"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
    **{kind: set(_SCALAR_KEYS) for kind in _SCALARS},
}


class NotationReader(CallReader):
    """A reader with `object`, which passes a value of this notation on as JSON.

    Args:
        quote: the delimiter of strings.
    """

    quote: str

    def object(self, depth: int = 0) -> Generator[None, str, None]:
        """The rest of an object whose brace has been read."""
        self.pass_on("{")
        char = yield from self.space()
        while char != "}":
            key = ""
            while char not in (END, ":", "{", "}", ",") and len(key) < 200:
                key += char
                char = yield from self.next()
            if char != ":" or not key:
                raise NotACall
            key = key.rstrip(SPACE).removeprefix(self.quote).removesuffix(self.quote).removeprefix('"')
            self.pass_on(json.dumps(key.removesuffix('"'), ensure_ascii=False) + ": ")
            char = yield from self._value((yield from self.space()), depth + 1)
            char = yield from self._comma(char, "}")
        self.pass_on("}")

    def _list(self, depth: int) -> Generator[None, str, None]:
        self.pass_on("[")
        char = yield from self.space()
        while char != "]":
            char = yield from self._value(char, depth + 1)
            char = yield from self._comma(char, "]")
        self.pass_on("]")

    def _comma(self, char: str, end: str) -> Chars:
        char = yield from self.space(char)
        if char == ",":
            self.pass_on(", ")
            char = yield from self.space()
            if char == end:
                raise NotACall
        elif char != end:
            raise NotACall
        return char

    def _value(self, char: str, depth: int) -> Chars:
        """One value; returns the character after it."""
        if depth > _MAX_DEPTH:
            raise NotACall
        if char == self.quote[0]:
            yield from self.literal((self.quote,), char)
            yield from self._string()
        elif char == "{":
            yield from self.object(depth)
        elif char == "[":
            yield from self._list(depth)
        else:
            atom = ""
            while char not in (END, ",", "]", "}") and len(atom) < 100:
                atom += char
                char = yield from self.next()
            atom = atom.strip(SPACE)
            if not is_atom(atom):
                raise NotACall
            self.pass_on(atom)
            self.hold(char)
            return char
        return (yield from self.next())

    def _string(self) -> Generator[None, str, None]:
        """Text up to the delimiter."""
        self.pass_on('"')
        begun = ""  # of a delimiter
        while begun != self.quote:
            char = yield from self.next()
            if char == END:
                self.pass_on(in_string(begun))
                raise NotACall
            begun += char
            while not self.quote.startswith(begun):
                self.pass_on(in_string(begun[0]))
                begun = begun[1:]
        self.pass_on('"')


class NotationGrammar:
    """Rules for values of this notation that follow a schema, as far as it knows what the schema says: types, enum,
    const, anyOf, bounds of numbers and lengths, and local $ref.

    Args:
        mark: control tokens by id.
        quote: the delimiter of strings.
        prefix: of the rules' names.

    Attributes:
        rules: name -> right side.
        gaps: what the rules leave out.
    """

    def __init__(self, mark: Markers, quote: str, prefix: str) -> None:
        self.rules: dict[str, str] = {}
        self.gaps: list[Gap] = []
        self._quote = mark(quote)
        self._delimiter = pattern(quote)
        self._prefix = prefix
        self._root: Mapping[str, Any] = {}
        self._refs: dict[str, str] = {}

    def root(self, schema: Mapping[str, Any], place: str = "") -> str:
        """The name of the rule for a whole schema, which `place` names in gaps."""
        self._root = schema
        return self._rule(schema, place)

    def _rule(self, schema: object, place: str) -> str:
        if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            return self._ref(schema["$ref"], place)
        name = self._name()
        self.rules[name] = ""  # taken
        self.rules[name] = self._right(schema, place)
        return name

    def _name(self) -> str:
        return f"{self._prefix}_{len(self.rules)}"

    def _ref(self, ref: str, place: str) -> str:
        if ref not in self._refs:
            found: Any = self._root
            for step in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
                found = found.get(step) if isinstance(found, Mapping) else None
            if found is None or not ref.startswith("#"):
                return self._loose_rule(f"{place}.$ref")
            name = self._refs[ref] = self._name()
            self.rules[name] = ""
            self.rules[name] = self._right(found, place)
        return self._refs[ref]

    def _right(self, schema: object, place: str) -> str:
        if not isinstance(schema, Mapping):
            return self._anything() if schema is not False else self._loose(place)
        if "const" in schema or "enum" in schema:
            values = schema["enum"] if "enum" in schema else [schema["const"]]
            return " | ".join(self._constant(value) for value in values)
        if "anyOf" in schema:
            self._only(schema, {"anyOf"}, place)
            return " | ".join(self._rule(inner, f"{place}.anyOf") for inner in schema["anyOf"])
        kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else None)
        if isinstance(kind, list):
            return " | ".join(self._rule({**schema, "type": one}, place) for one in kind)
        if kind is None and not set(schema) - ANNOTATIONS:
            return self._anything()
        if not isinstance(kind, str) or kind not in _KNOWN:
            self._only(schema, set(), place)
            return self._anything()
        self._only(schema, _KNOWN[kind], place) if kind not in _SCALARS else None
        if kind in _SCALARS:
            return json_rule({key: schema[key] for key in ("type", *_SCALAR_KEYS) if key in schema})
        builders: dict[str, Callable[[Mapping[str, Any], str], str]]
        builders = {"string": self._string, "array": self._array, "object": self._object}
        return builders[kind](schema, place)

    def _string(self, schema: Mapping[str, Any], place: str) -> str:
        low, high = bounded(schema, "minLength", "maxLength")
        count = "*" if (low, high) == (0, None) else f"{{{low},{'' if high is None else high}}}"
        terminal = f"TEXT_{self._name()}".upper()
        self.rules[terminal] = f"/(?s:.){count}/ & ~/(?s:.*){self._delimiter}(?s:.*)/"
        return f"{self._quote} {terminal} {self._quote}"

    def _array(self, schema: Mapping[str, Any], place: str) -> str:
        item = self._rule(schema.get("items", True), f"{place}.items")
        low, high = bounded(schema, "minItems", "maxItems")
        if high == 0:
            return '"[" "]"'
        more = f'("," {item}){{{max(low - 1, 0)},{"" if high is None else high - 1}}}'
        return f'"[" {item} {more} "]"' + ("" if low else ' | "[" "]"')

    def _object(self, schema: Mapping[str, Any], place: str) -> str:
        properties = {name: inner for name, inner in schema.get("properties", {}).items() if inner is not False}
        for name in [name for name in properties if not _NAME.fullmatch(name)]:
            self._loose(f"{place}.properties.{name}")
            del properties[name]
        required = {name for name in schema.get("required", ()) if _NAME.fullmatch(name)}
        others = schema.get("additionalProperties", not properties)
        for name in sorted(required - properties.keys()):
            properties[name] = others
        if not properties and others is not False:
            terminal = f"KEY_{self._name()}".upper()
            self.rules[terminal] = r"/[a-zA-Z_][a-zA-Z0-9_]{0,63}/"
            value = self._rule(others, f"{place}.additionalProperties")
            return f'"{{" ({terminal} ":" {value} ("," {terminal} ":" {value})*)? "}}"'
        # The templates sort names, so a model expects them sorted. `first` and `next`: nothing has come yet, or has.
        first, following = '"}"', '"}"'
        for name in sorted(properties, reverse=True):
            pair = f"{quoted(name + ':')} {self._rule(properties[name], f'{place}.{name}')}"
            then = self._name()
            self.rules[then] = following
            skipped = self._name()
            self.rules[skipped] = first
            may_skip = name not in required
            first = f"{pair} {then}" + (f" | {skipped}" if may_skip else "")
            following = f'"," {pair} {then}' + (f" | {then}" if may_skip else "")
        begin = self._name()
        self.rules[begin] = first
        return f'"{{" {begin}'

    def _constant(self, value: object) -> str:
        if isinstance(value, str):
            return f"{self._quote} {quoted(value)} {self._quote}" if value else f"{self._quote} {self._quote}"
        if isinstance(value, Mapping):
            pairs = [f"{quoted(str(key) + ':')} {self._constant(value[key])}" for key in sorted(value)]
            return " ".join(['"{"', ' "," '.join(pairs), '"}"'])
        if isinstance(value, Sequence):
            return " ".join(['"["', ' "," '.join(map(self._constant, value)), '"]"'])
        return quoted(json.dumps(value))

    def _anything(self) -> str:
        """Any value, three levels deep."""
        name = self._prefix + "_any"
        if f"{name}3" not in self.rules:
            text = self._string({}, "")
            scalar = " | ".join([text, *(self._rule({"type": kind}, "") for kind in ("number", "boolean", "null"))])
            self.rules[f"{name}0"] = scalar
            for level in range(1, 4):
                inner = f"{name}{level - 1}"
                pair = f'/[a-zA-Z_][a-zA-Z0-9_]{{0,63}}/ ":" {inner}'
                self.rules[f"{name}{level}"] = (
                    f'{inner} | "[" ({inner} ("," {inner})*)? "]" | "{{" ({pair} ("," {pair})*)? "}}"'
                )
        return f"{name}3"

    def _only(self, schema: Mapping[str, Any], known: set[str], place: str) -> None:
        for key in schema:
            if key not in known and key not in ANNOTATIONS:
                self._loose(f"{place}.{key}")

    def _loose(self, place: str) -> str:
        """Any value, and a gap."""
        self.gaps.append(Gap(place, "the notation of this model's calls has no rule for it"))
        return self._anything()

    def _loose_rule(self, place: str) -> str:
        name = self._name()
        self.rules[name] = self._loose(place)
        return name
