"""A GGUF file whose metadata and tensors say anything; `fuzz_gguf.py` has the bytes of one mutated by coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.checkpoint.builders import RawTensor, gguf_bytes, spm_metadata, spm_vocabulary

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint import open_checkpoint
from hearth.model import load_family

from .harness import Target, main
from .mutation import FLOATS, INTEGERS, TEXTS, Mutator

_SIZES = {
    "llama.block_count": 1,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 512,
    "llama.rope.freq_base": 10000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def make(mutator: Mutator) -> bytes:
    metadata: dict[str, Any] = {**_SIZES, **spm_metadata(spm_vocabulary("▁ab", "ab", "▁"))}
    for _ in range(1 + mutator.random.randrange(3)):
        key = mutator.choice(list(metadata))
        match mutator.random.randrange(4):
            case 0:
                del metadata[key]
            case 1:
                metadata[mutator.choice(("general.architecture", key))] = mutator.choice(TEXTS).encode(
                    "utf-8", "surrogatepass"
                )
            case 2:
                metadata[key] = mutator.choice([abs(number) % 2**32 for number in INTEGERS])
            case _:
                metadata[key] = mutator.choice(FLOATS[:5])
    tensors = [RawTensor("a", (4, 2), 0, 0), RawTensor("b", (32, 3), 8, 32)]
    for tensor in tensors:
        if mutator.one_in(3):
            tensor.dims = [abs(mutator.integer()) % 2**64 for _ in range(mutator.random.randrange(6))]
        if mutator.one_in(5):
            tensor.type = mutator.random.randrange(40)
        if mutator.one_in(5):
            tensor.offset = abs(mutator.integer()) % 2**64
    data = gguf_bytes(metadata, tensors, bytes(134))
    return mutator.bytes(data) if mutator.one_in(2) else data


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    file = folder / "model.gguf"

    def run(content: bytes) -> None:
        file.write_bytes(content)
        checkpoint = open_checkpoint(file)
        spec = checkpoint.tokenizer()
        if spec is not None:
            Tokenizer(spec).encode("Hello, ab")
        load_family(checkpoint)

    yield run


TARGET = Target("GGUF", make, opened)

if __name__ == "__main__":
    main(TARGET)
