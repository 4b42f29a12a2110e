"""A model folder: config, header and index of the weights, settings of tokenizer and generation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.golden import CASES
from tests.golden.torch_files import HERE

from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.generation import published_sampling
from hearth.hub.local import STARTER_PATH, open_local
from hearth.model import load_family

from .harness import Target, main
from .mutation import Mutator

_CASES = [case.path for case in CASES if (case.path / "model.safetensors").is_file()]
_SAVED = HERE / "new.pth"
_WEIGHTS = "model.safetensors"
_INDEX = {"metadata": {"total_size": 100}, "weight_map": {"model.embed_tokens.weight": _WEIGHTS}}
Files = dict[str, bytes]


def make(mutator: Mutator) -> Files:
    folder = mutator.choice(_CASES)
    whole = (folder / _WEIGHTS).read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    config = json.loads((folder / "config.json").read_bytes())
    files = {"config.json": json.dumps(config).encode(), _WEIGHTS: whole}
    match mutator.choice(("config", "config", "header", "header", "index", "torch", "settings", "bytes")):
        case "config":
            files["config.json"] = mutator.written(mutator.json(config))
        case "header":
            header = mutator.written(mutator.json(json.loads(whole[8:size])))
            length = mutator.integer() % 2**64 if mutator.one_in(10) else len(header)
            files[_WEIGHTS] = length.to_bytes(8, "little") + header + whole[size:]
        case "index":
            files[f"{_WEIGHTS}.index.json"] = mutator.written(mutator.json(_INDEX))
            if mutator.one_in(2):
                del files[_WEIGHTS]
        case "torch":
            del files[_WEIGHTS]
            files["pytorch_model.bin"] = mutator.bytes(_SAVED.read_bytes())
            if mutator.one_in(2):
                files["pytorch_model-00001-of-00001.bin"] = files.pop("pytorch_model.bin")
        case "settings":
            for name in ("tokenizer_config.json", "generation_config.json"):
                files[name] = mutator.written(mutator.json(json.loads((STARTER_PATH / name).read_bytes())))
            files["tokenizer.json"] = (STARTER_PATH / "tokenizer.json").read_bytes()
            files["special_tokens_map.json"] = mutator.written(mutator.json({"bos_token": "<s>", "eos_token": "</s>"}))
        case _:
            name = mutator.choice(sorted(files))
            files[name] = mutator.bytes(files[name])
    return files


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Files], None]]:
    def run(files: Files) -> None:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        try:
            checkpoint = open_checkpoint(open_local(folder).path)
            published_sampling(checkpoint)
            load_family(checkpoint)
            checkpoint.tokenizer()
        finally:
            for file in folder.iterdir():
                file.unlink()

    yield run


TARGET = Target("model folder", make, opened)

if __name__ == "__main__":
    main(TARGET)
