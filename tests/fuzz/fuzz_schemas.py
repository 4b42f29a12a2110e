"""`response_format`: schemas, grammars and regular expressions, compiled and followed for a few tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hearth.chat.grammar import Grammars
from hearth.chat.structured import checked_format
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import open_checkpoint
from hearth.hub.local import STARTER_PATH
from hearth.server.grammar_trial import GrammarTrial

from .harness import Target, main
from .mutation import Mutator

_PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20, "pattern": "^[A-Z][a-z]+$"},
        "age": {"type": "integer", "minimum": 0, "maximum": 130, "multipleOf": 1},
        "height": {"type": "number", "exclusiveMinimum": 0.5},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 3, None]}, "minItems": 1, "maxItems": 4},
        "when": {"type": "string", "format": "date-time"},
        "next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]},
        "kind": {"const": "person"},
    },
    "required": ["name", "age", "next"],
    "additionalProperties": False,
    "$defs": {
        "link": {"type": "object", "properties": {"next": {"$ref": "#/$defs/link"}}, "additionalProperties": False}
    },
}
_LARK = (
    'start: greeting " " name\ngreeting: "Hello" | /H[ae]llo{1,3}/\nname: /[a-z]{2,8}/ | %json {"type": "integer"}\n'
)
_REGEX = r"(yes|no)(, (maybe|[a-z]{1,10})){0,3}\."


def make(mutator: Mutator) -> Any:
    match mutator.random.randrange(6):
        case 0:
            return {"type": "grammar", "grammar": mutator.text(_LARK)}
        case 1:
            return {"type": "regex", "regex": mutator.text(_REGEX)}
        case 2:
            whole = {"type": "json_schema", "json_schema": {"name": "a", "schema": _PERSON, "strict": True}}
            return mutator.json(whole)
        case _:
            schema = mutator.json(_PERSON)
            return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": mutator.one_in(2)}}


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Any], None]]:
    spec = open_checkpoint(STARTER_PATH).tokenizer()
    assert spec is not None
    tokenizer = Tokenizer(spec)
    trial = GrammarTrial()
    grammars = Grammars(tokenizer, tokenizer.vocab_size, trial)
    rng = np.random.default_rng(1)

    def run(wanted: Any) -> None:
        structure = checked_format(wanted)
        if structure is None:
            return
        matcher = structure.matcher(grammars)
        for _ in range(10):
            allowed = np.flatnonzero(np.unpackbits(matcher.mask().view(np.uint8), bitorder="little"))
            token = int(rng.choice(allowed))
            if token == matcher.end_id:
                return
            matcher.take(token)

    try:
        yield run
    finally:
        trial.close()


TARGET = Target("response_format", make, opened)

if __name__ == "__main__":
    main(TARGET)
