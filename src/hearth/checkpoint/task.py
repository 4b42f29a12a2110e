"""What an encoder is for and how texts are put to it, and the file in a bundle that remembers it.

A folder says so in config.json and in the files of sentence-transformers beside it, a GGUF file in its metadata.
Source: transformers 5, sentence-transformers 6.2 (CrossEncoder), llama.cpp's `classifier.output_labels`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hearth.checkpoint.embedding import EmbeddingSpec
from hearth.checkpoint.mapped import read_json_object, written_by_compiler
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile, Unsupported

TASK_FILE = "task.json"

Kind = Literal["embed", "classify", "tag"]
Scores = Literal["softmax", "sigmoid", "identity"]
_RANK = 4  # llama.cpp's pooling_type
_MAX_LABELS = 1 << 16


@dataclass(frozen=True)
class Task:
    """What an encoder is for.

    Attributes:
        kind: makes vectors of texts; classifies texts (with one label: scores a pair of texts); labels tokens.
        labels: in the order of the logits.
        scores: what makes scores of logits.
        max_tokens: the longest text that the authors allow; 0: they say nothing.
        prompts: what is put before a text, by name.
        default_prompt: name of the one that is put there where none is asked for.
        include_prompt: the prompt's tokens count for pooling.
        lowercase: the text is put in lower case first.
        dimensions: to which vectors may be cut (Matryoshka); none: they were not made for it.
        refused: why vectors cannot be made, as the end of a sentence; empty where they can.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    scores: Scores = "softmax"
    max_tokens: int = 0
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    include_prompt: bool = True
    lowercase: bool = False
    dimensions: tuple[int, ...] = ()
    refused: str = ""


def published_task(checkpoint: Checkpoint, spec: EmbeddingSpec | None) -> Task:
    """What a checkpoint says.

    Args:
        spec: of the same checkpoint, as `sentence_modules.published_embedding` gives it.

    Raises:
        Unsupported: the model has a head for something else.
        CorruptFile: labels or lengths that are none.
    """
    if checkpoint.kind == "gguf":
        return _of_gguf(checkpoint, spec)
    config = checkpoint.config
    classes = config.get("architectures")
    name = str(classes[0]) if isinstance(classes, list) and classes else ""
    limit = _max_tokens(checkpoint.path)
    if name.endswith("ForSequenceClassification"):
        labels = _labels(config)
        return Task("classify", labels, _scores(config, len(labels)), limit)
    if name.endswith("ForTokenClassification"):
        return Task("tag", _labels(config), "softmax", limit)
    if name.endswith(("ForQuestionAnswering", "ForMultipleChoice", "ForNextSentencePrediction")):
        raise Unsupported(f"{checkpoint.path.name} has a head that Hearth does not compute: {name[:60]!r}.")
    return _embedding(spec, limit, _dimensions(config))


def _of_gguf(checkpoint: Checkpoint, spec: EmbeddingSpec | None) -> Task:
    prefix = f"{checkpoint.architecture}."
    if checkpoint.config.get(prefix + "pooling_type") != _RANK:
        return _embedding(spec, 0, ())
    given = checkpoint.config.get(prefix + "classifier.output_labels")
    labels = tuple(str(label) for label in given) if isinstance(given, Sequence) else ()
    return Task("classify", labels or ("score",), "sigmoid" if len(labels) < 2 else "softmax")


def _embedding(spec: EmbeddingSpec | None, limit: int, dimensions: tuple[int, ...]) -> Task:
    if spec is None:
        nothing = "its files do not say how one vector is made of a text (modules.json, or pooling_type in a GGUF file)"
        return Task("embed", max_tokens=limit, refused=nothing)
    return Task(
        "embed",
        max_tokens=limit,
        prompts=spec.prompts,
        default_prompt=spec.default_prompt,
        include_prompt=spec.include_prompt,
        lowercase=spec.lowercase,
        dimensions=dimensions,
        refused=spec.refused,
    )


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    given = config.get("id2label")
    if given is None:
        count = config.get("num_labels", 2)  # as transformers assumes
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MAX_LABELS:
            raise CorruptFile(f"config.json: num_labels = {str(count)[:40]}.")
        return tuple(f"LABEL_{number}" for number in range(count))
    if not isinstance(given, Mapping) or not 1 <= len(given) <= _MAX_LABELS:
        raise CorruptFile("config.json: id2label is no table of labels.")
    labels = {str(key): label for key, label in given.items()}
    wanted = [str(number) for number in range(len(labels))]
    if sorted(labels) != sorted(wanted) or not all(isinstance(label, str) for label in labels.values()):
        raise CorruptFile("config.json: id2label does not name the labels from 0 on.")
    return tuple(labels[number] for number in wanted)


def _scores(config: Mapping[str, Any], labels: int) -> Scores:
    """As CrossEncoder does: what its table says, else a sigmoid for one label."""
    table = config.get("sentence_transformers")
    named = table.get("activation_fn") if isinstance(table, Mapping) else None
    named = named or config.get("sbert_ce_default_activation_function")
    if named is not None:
        last = str(named).rpartition(".")[2]
        if last not in ("Identity", "Sigmoid"):
            raise Unsupported(f"config.json: Hearth does not compute the activation {last[:40]!r} of its scores.")
        return "identity" if last == "Identity" else "sigmoid"
    problem = config.get("problem_type")
    if problem == "regression":
        return "identity"
    return "sigmoid" if labels == 1 or problem == "multi_label_classification" else "softmax"


def _dimensions(config: Mapping[str, Any]) -> tuple[int, ...]:
    given = config.get("matryoshka_dimensions")
    if not isinstance(given, list):
        return ()
    return tuple(sorted({size for size in given if type(size) is int and size > 0}))


def _max_tokens(folder: Path) -> int:
    """`max_seq_length` of sentence-transformers, else `model_max_length` of the tokenizer."""
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        value = read_json_object(folder / name).get(key) if (folder / name).is_file() else None
        if type(value) is int and 0 < value < 1 << 30:  # transformers writes 10^30 for "no limit"
            return value
    return 0


def save_task(task: Task, folder: Path) -> Path:
    """Writes it into a bundle's folder, and returns the file."""
    path = folder / TASK_FILE
    path.write_text(json.dumps(asdict(task), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def load_task(folder: Path) -> Task:
    """What `save_task` wrote.

    Raises:
        CorruptFile: the file is missing or damaged.
    """
    path = folder / TASK_FILE
    with written_by_compiler(path):
        content = read_json_object(path)
        task = Task(**content | {"labels": tuple(content["labels"]), "dimensions": tuple(content["dimensions"])})
        texts = (*task.labels, *task.prompts, *task.prompts.values())
        if task.kind not in get_args(Kind) or task.scores not in get_args(Scores):
            raise ValueError("it names what this Hearth does not know")
        if not all(type(text) is str for text in texts) or not all(type(size) is int for size in task.dimensions):
            raise ValueError("it holds something of another kind")
        return task
