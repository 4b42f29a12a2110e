"""A folder with quantised weights: what it says of them, types and shapes of their tensors; then rows of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.golden import QUANTISED

from hearth.checkpoint import open_checkpoint
from hearth.errors import HearthError
from hearth.quant.source import RowSource

from .harness import Target, main
from .mutation import Mutator

_WEIGHTS = "model.safetensors"
Files = dict[str, bytes]


def make(mutator: Mutator) -> Files:
    folder = mutator.choice(sorted(path for path in QUANTISED.iterdir() if path.is_dir()))
    whole = (folder / _WEIGHTS).read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    config = json.loads((folder / "config.json").read_bytes())
    files = {"config.json": json.dumps(config).encode(), _WEIGHTS: whole}
    match mutator.choice(("config", "header", "header", "numbers")):
        case "config":
            files["config.json"] = mutator.written(mutator.json(config))
        case "header":
            header = mutator.written(mutator.json(json.loads(whole[8:size])))
            files[_WEIGHTS] = len(header).to_bytes(8, "little") + header + whole[size:]
        case _:
            files[_WEIGHTS] = whole[:size] + mutator.bytes(whole[size:])[: len(whole) - size]
    return files


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Files], None]]:
    def run(files: Files) -> None:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        try:
            checkpoint = open_checkpoint(folder)
            for name, info in checkpoint.tensors.items():
                if info.reader is None:
                    continue
                source = RowSource.of(checkpoint, name)
                for begin, end in ((0, 2), (source.n - 1, source.n)):
                    try:
                        source.read_f32(min(begin, source.n - 1), min(end, source.n))
                    except HearthError:
                        continue
        finally:
            for file in folder.iterdir():
                file.unlink()

    yield run


TARGET = Target("folder with quantised weights", make, opened)

if __name__ == "__main__":
    main(TARGET)
