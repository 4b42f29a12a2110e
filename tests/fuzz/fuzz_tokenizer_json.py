"""tokenizer.json of a model folder: read, and text made into tokens and back with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.tokenizer.hf import hf_tokenizer
from hearth.hub.local import STARTER_PATH

from .harness import Target, main
from .mutation import Mutator

_WHOLE: dict[str, Any] = json.loads((STARTER_PATH / "tokenizer.json").read_bytes())
# The rest of the vocabulary says nothing new, and takes its time.
_KEPT = 400
_VOCABULARY = {token: id for token, id in _WHOLE["model"]["vocab"].items() if id < _KEPT}
_MERGES = [pair for pair in _WHOLE["model"]["merges"] if "".join(pair) in _VOCABULARY and set(pair) <= set(_VOCABULARY)]
SOUND = {**_WHOLE, "model": {**_WHOLE["model"], "vocab": _VOCABULARY, "merges": _MERGES}}
_PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
_NORMALIZERS = ({"type": "NFC"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "Lowercase"})
_SPLIT = {"type": "Split", "pattern": {"Regex": r"\s+|\w+"}, "behavior": "Isolated", "invert": False}


def make(mutator: Mutator) -> bytes:
    whole = dict(SOUND)
    if mutator.one_in(3):
        whole["normalizer"] = {"type": "Sequence", "normalizers": list(_NORMALIZERS)}
    if mutator.one_in(3):
        whole["pre_tokenizer"] = _SPLIT
    if mutator.one_in(4):
        return mutator.written(mutator.json(whole))
    parts = mutator.json({name: whole.get(name) for name in _PARTS})
    return mutator.written(whole | parts)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    def run(content: bytes) -> None:
        (folder / "tokenizer.json").write_bytes(content)
        spec = hf_tokenizer(folder, {})
        if spec is not None:
            tokenizer = Tokenizer(spec)
            tokenizer.decode(tokenizer.encode("Hello, world! é 東 " + "a" * 50))

    yield run


TARGET = Target("tokenizer.json", make, opened)

if __name__ == "__main__":
    main(TARGET)
