"""The file of requests that `hearth batch` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hearth.batch import read_batch

from .harness import Target, main
from .mutation import Mutator

_BODY = {"model": "starter", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
_LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": _BODY}


def make(mutator: Mutator) -> bytes:
    lines = []
    for number in range(1 + mutator.random.randrange(4)):
        line = {**_LINE, "custom_id": f"a{number}"}
        lines.append(mutator.written(mutator.json(line) if mutator.one_in(2) else line))
    return b"\n".join(lines)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    file = folder / "in.jsonl"

    def run(content: bytes) -> None:
        file.write_bytes(content)
        batch = read_batch(file)
        for entry in batch.entries:
            batch.body(entry)

    yield run


TARGET = Target("batch lines", make, opened)

if __name__ == "__main__":
    main(TARGET)
