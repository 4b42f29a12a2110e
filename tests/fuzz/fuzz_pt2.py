"""Exported PyTorch programs: the archive, the graph's JSON, the tensors, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hearth.checkpoint.pt2 import ExportedProgram
from hearth.model.imported.exported import import_exported

from .archives import entries_of, write
from .harness import Target, main
from .mutation import Mutator

GOLDEN = Path(__file__).parent.parent / "golden" / "imported"
_JSON = ("models/model.json", "model_weights_config.json", "model_constants_config.json")


def make(mutator: Mutator) -> dict[str, bytes] | bytes:
    name = mutator.choice(("functions", "mobile", "t5", "indices", "recurrent", "resizes", "sampled"))
    if mutator.one_in(6):
        return mutator.bytes((GOLDEN / f"{name}.pt2").read_bytes())
    entries = dict(entries_of(GOLDEN / f"{name}.pt2"))
    entry = mutator.choice([entry for entry in entries if entry.endswith(_JSON)])
    entries[entry] = mutator.written(mutator.json(json.loads(entries[entry])))
    return entries


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[dict[str, bytes] | bytes], None]]:
    def run(content: dict[str, bytes] | bytes) -> None:
        path = folder / "model.pt2"
        write(path, content)
        program = ExportedProgram(path)
        for tensor, info in program.tensors.items():
            assert program.array(tensor).shape == info.shape
        import_exported(program)

    yield run


TARGET = Target("pt2", make, opened)

if __name__ == "__main__":
    main(TARGET)
