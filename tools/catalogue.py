"""Writes into the catalogue what follows from its other entries: memory of weights, and of keys and values.

python -m tools.catalogue
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from hearth.model.vlm.load import load_config, sight_of_config
from hearth.sizes import ModelSize, size_of

CATALOGUE = Path(__file__).parents[1] / "src" / "hearth" / "hub" / "catalogue.toml"


def computed(entry: dict[str, Any]) -> ModelSize:
    """The size of an entry's model in the formats that it is compiled to where none are asked for."""
    config, model_type = entry["config"], entry["config"]["model_type"]
    decoder = load_config(config, model_type)
    sight = sight_of_config(config, model_type, decoder)
    return size_of(decoder, lambda _: "bf16", "safetensors", sight=None if sight is None else sight.part)


def main() -> None:
    text = CATALOGUE.read_text()
    sizes = iter([computed(entry) for entry in tomllib.loads(text)["model"]])

    def fill(match: re.Match[str]) -> str:
        size = next(sizes)
        return f"weights_bytes = {size.weights_bytes:_}\nkv_bytes_per_token = {size.kv_bytes_per_token:_}\n"

    CATALOGUE.write_text(re.sub(r"weights_bytes = [\d_]+\nkv_bytes_per_token = [\d_]+\n", fill, text))


if __name__ == "__main__":
    main()
