"""tokenizer.model: a SentencePiece model, converted and used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.checkpoint.builders import proto_field, sentencepiece_bytes, spm_vocabulary

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.tokenizer.hf import hf_tokenizer

from .harness import Target, main
from .mutation import FLOATS, TEXTS, Mutator


def make(mutator: Mutator) -> bytes:
    pieces = spm_vocabulary("▁ab", "ab", "▁", "▁hello")
    for _ in range(mutator.random.randrange(4)):
        at = mutator.random.randrange(len(pieces))
        text, score, kind = pieces[at]
        match mutator.random.randrange(4):
            case 0:
                text = mutator.choice(TEXTS[:5] + TEXTS[10:])
            case 1:
                score = mutator.choice(FLOATS[:5])
            case 2:
                kind = mutator.random.randrange(8)
            case _:
                pieces.append(pieces[at])
        pieces[at] = (text, score, kind)
    data = sentencepiece_bytes(
        pieces, model_type=mutator.choice((1, 2, 2, 3)), byte_fallback=mutator.one_in(2), prefix=mutator.one_in(2)
    )
    if mutator.one_in(4):
        charsmap = mutator.bytes(b"\x08\0\0\0" + bytes(8) + b"a\0b\0")
        data += proto_field(3, proto_field(1, "nmt_nfkc") + proto_field(2, charsmap))
    return mutator.bytes(data) if mutator.one_in(2) else data


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    def run(content: bytes) -> None:
        (folder / "tokenizer.model").write_bytes(content)
        spec = hf_tokenizer(folder, {})
        if spec is not None:
            tokenizer = Tokenizer(spec)
            tokenizer.decode(tokenizer.encode("Hello, ab hello ab é"))

    yield run


TARGET = Target("SentencePiece", make, opened)

if __name__ == "__main__":
    main(TARGET)
