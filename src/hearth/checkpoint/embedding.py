"""How a model's authors make one vector of a text, and the files in a bundle that remember it.

A folder says so in its modules (`sentence_modules.py`), a GGUF file in `pooling_type`. The compiler writes what they
say into the bundle, since a bundle may travel without its source.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import read_json_object, written_by_compiler

EMBEDDING_FILE, DENSE_FILE = "embedding.json", "embedding_dense.npz"

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
Activation = Literal["identity", "tanh", "relu", "gelu", "sigmoid"]
PairScores = Literal["sigmoid", "identity"]


@dataclass(frozen=True, eq=False)
class Dense:
    """A layer after pooling: activation(weight x + bias), weight f32 (out, in), bias f32 (out,)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    activation: Activation


@dataclass(frozen=True)
class PairReading:
    """How a query and a document are put to a language model that ranks, and what is made of what comes out.

    Attributes:
        scores: what makes a score of the one number that comes out.
        template: name of the model's template in which `{query}` and `{document}` stand for the two; empty: its own
            chat template, which is given a message of the role `query` and one of the role `document`.
        variables: what else the chat template is given.
    """

    scores: PairScores = "sigmoid"
    template: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingSpec:
    """How one vector is made of the hidden states of a text's tokens.

    Attributes:
        pooling: one way or several, whose results are joined.
        steps: what follows, in order.
        prompts: what is put before a text, by name.
        default_prompt: name of the one that is put there where none is asked for.
        include_prompt: the prompt's tokens count for pooling.
        lowercase: the text is put in lower case first.
        refused: why vectors cannot be made, as the end of a sentence; empty where they can.
        no_head: vectors are all that the model makes: it was published without what makes text.
        pairs: the model ranks documents: the one number that comes out is made of two texts.
    """

    pooling: tuple[Pooling, ...] = ("mean",)
    steps: tuple[Dense | Literal["normalize"], ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    include_prompt: bool = True
    lowercase: bool = False
    refused: str = ""
    no_head: bool = False
    pairs: PairReading | None = None

    def size(self, hidden_size: int) -> int:
        """Numbers in a vector of a model with so many."""
        layers = [step for step in self.steps if isinstance(step, Dense)]
        return len(layers[-1].weight) if layers else hidden_size * len(self.pooling)


def save_embedding(spec: EmbeddingSpec | None, folder: Path) -> list[Path]:
    """Writes what a checkpoint says into a bundle's folder, and returns the files; none where it says nothing."""
    if spec is None:
        return []
    arrays: dict[str, NDArray[np.float32]] = {}
    steps: list[Any] = []
    for step in spec.steps:
        if not isinstance(step, Dense):
            steps.append(step)
            continue
        steps.append({"activation": step.activation, "bias": step.bias is not None})
        arrays[f"weight{len(steps) - 1}"] = step.weight
        if step.bias is not None:
            arrays[f"bias{len(steps) - 1}"] = step.bias
    content = {
        "pooling": spec.pooling,
        "steps": steps,
        "prompts": dict(spec.prompts),
        "default_prompt": spec.default_prompt,
        "include_prompt": spec.include_prompt,
        "lowercase": spec.lowercase,
        "refused": spec.refused,
        "no_head": spec.no_head,
        "pairs": None if spec.pairs is None else asdict(spec.pairs),
    }
    paths = [folder / EMBEDDING_FILE]
    paths[0].write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if arrays:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own option
        paths.append(folder / DENSE_FILE)
        paths[1].write_bytes(buffer.getvalue())
    return paths


def load_embedding(folder: Path) -> EmbeddingSpec | None:
    """What `save_embedding` wrote; None where it wrote nothing.

    Raises:
        CorruptFile: a file is damaged.
    """
    path = folder / EMBEDDING_FILE
    if not path.is_file():
        return None
    with written_by_compiler(path):
        content = read_json_object(path)
        arrays = np.load(folder / DENSE_FILE, allow_pickle=False) if (folder / DENSE_FILE).is_file() else {}
        steps = [
            step if step == "normalize" else _loaded_dense(arrays, number, step)
            for number, step in enumerate(content.pop("steps"))
        ]
        pooling = tuple(content["pooling"])
        if not set(pooling) <= set(get_args(Pooling)) or not all(
            type(text) is str for text in content["prompts"].values()
        ):
            raise ValueError("it names what this Hearth does not know")
        pairs = _loaded_pairs(content.get("pairs"))
        return EmbeddingSpec(**content | {"steps": tuple(steps), "pooling": pooling, "pairs": pairs})


def _loaded_dense(arrays: Mapping[str, Any], number: int, step: Mapping[str, Any]) -> Dense:
    bias = arrays[f"bias{number}"] if step["bias"] else None
    return Dense(arrays[f"weight{number}"], bias, step["activation"])


def _loaded_pairs(content: Mapping[str, Any] | None) -> PairReading | None:
    if content is None:
        return None
    pairs = PairReading(**content)
    if pairs.scores not in get_args(PairScores) or not isinstance(pairs.template, str):
        raise ValueError("it ranks in a way that this Hearth does not know")
    return PairReading(pairs.scores, pairs.template, dict(pairs.variables))
