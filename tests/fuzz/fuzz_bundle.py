"""What a bundle says of itself: manifest and costs. Its plan has `fuzz_plan.c`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bundle.samples import write_bundle

from hearth.bundle import StepCost, open_bundle, read_costs, write_costs

from .harness import Target, main
from .mutation import Mutator


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Mutator], None]]:
    bundle = write_bundle(folder / "bundle").path
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    costs = json.loads(write_costs([StepCost("down", "matmul", "int8", 1000, {"n": 10}, {"n": 7})] * 3))

    def run(mutator: Mutator) -> None:
        (bundle / "manifest.json").write_bytes(mutator.written(mutator.json(manifest)))
        (bundle / "costs.json").write_bytes(mutator.written(mutator.json(costs)))
        try:
            open_bundle(bundle, for_this_machine=mutator.one_in(2))
        finally:
            read_costs(bundle)

    yield run


TARGET = Target("bundle", lambda mutator: mutator, opened)

if __name__ == "__main__":
    main(TARGET)
