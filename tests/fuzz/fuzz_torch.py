"""Files of torch.save: the archive, the pickle, the storages behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hearth.checkpoint.torch_file import TorchCheckpoint
from hearth.errors import Unsupported

from .archives import entries_of, write
from .harness import Target, main
from .mutation import Mutator

GOLDEN = Path(__file__).parent.parent / "golden" / "torch_files"


def make(mutator: Mutator) -> dict[str, bytes] | bytes:
    if mutator.one_in(3):
        return mutator.bytes((GOLDEN / mutator.choice(("old.pth", "new.pth"))).read_bytes())
    entries = dict(entries_of(GOLDEN / mutator.choice(("new.pth", "training.pth"))))
    entry = next(entry for entry in entries if entry.endswith("data.pkl"))
    entries[entry] = mutator.bytes(entries[entry])
    return entries


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[dict[str, bytes] | bytes], None]]:
    def run(content: dict[str, bytes] | bytes) -> None:
        path = folder / "resnet18.pth"
        write(path, content)
        checkpoint = TorchCheckpoint(path)
        for tensor, info in checkpoint.tensors.items():
            try:
                assert checkpoint.raw(tensor).size == info.size_bytes
            except Unsupported:
                continue
        checkpoint.fingerprint()

    yield run


TARGET = Target("torch", make, opened)

if __name__ == "__main__":
    main(TARGET)
