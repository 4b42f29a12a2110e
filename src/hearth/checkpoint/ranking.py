"""How a published language model ranks documents: by its logits of one token, or of one against another, after a query
and a document.

A folder says so in the module `LogitScore` of its `modules.json`, a GGUF file by `pooling_type` 4 with a layer of two
rows for the answers `yes` and `no`. Source: sentence-transformers 6.2 (CrossEncoder), llama.cpp's converter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth.checkpoint.embedding import PairReading, PairScores
from hearth.checkpoint.mapped import PULL_AGAIN, read_json_object, read_json_objects
from hearth.checkpoint.sentence_modules import MODULES_FILE, PROMPTS_FILE, TEXT_FILE
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile

_GGUF_RANK = 4  # llama.cpp's pooling_type
_GGUF_LAYER = "cls.output.weight"
_GGUF_TEMPLATE = "rerank"
_SCORES: Mapping[str, PairScores] = {"Identity": "identity", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class PublishedRanking:
    """What of a model makes a score.

    Attributes:
        true: the row of `tensor` whose product with the last token's hidden state is the score,
        false: less that of this row; None: of none.
        tensor: the file's name of the matrix; None: it is the head, which makes logits.
        pairs: how the two texts are put to the model.
        refused: why scores cannot be made, as the end of a sentence; empty where they can.
    """

    true: int = 0
    false: int | None = None
    tensor: str | None = None
    pairs: PairReading = field(default_factory=PairReading)
    refused: str = ""


def published_ranking(checkpoint: Checkpoint) -> PublishedRanking | None:
    """What a language model's checkpoint says; None where it is no ranker.

    Raises:
        CorruptFile: a file of a module is damaged or missing.
    """
    if checkpoint.kind == "gguf":
        return _of_gguf(checkpoint)
    if not (checkpoint.path / MODULES_FILE).is_file():
        return None
    modules = read_json_objects(checkpoint.path / MODULES_FILE)
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if "LogitScore" not in kinds:
        return None
    if kinds != ["Transformer", "LogitScore"]:
        return PublishedRanking(refused=f"Hearth does not compute {' and '.join(kinds)[:80]} of its {MODULES_FILE}")
    return _of_folder(checkpoint, str(modules[1].get("path", "")))


def _of_gguf(checkpoint: Checkpoint) -> PublishedRanking | None:
    prefix = f"{checkpoint.architecture}."
    labels = checkpoint.config.get(prefix + "classifier.output_labels")
    if checkpoint.config.get(prefix + "pooling_type") != _GGUF_RANK or not isinstance(labels, list):
        return None
    layer = checkpoint.tensors.get(_GGUF_LAYER)
    if sorted(map(str, labels)) != ["no", "yes"] or layer is None or layer.shape[:1] != (2,):
        return None
    return PublishedRanking(labels.index("yes"), labels.index("no"), _GGUF_LAYER, PairReading(template=_GGUF_TEMPLATE))


def _of_folder(checkpoint: Checkpoint, place: str) -> PublishedRanking:
    if Path(place).name != place or place in ("", ".."):
        raise CorruptFile(f"{MODULES_FILE} names the folder {place[:80]!r}.", hint=PULL_AGAIN)
    module = read_json_object(checkpoint.path / place / "config.json")
    true, false = module.get("true_token_id"), module.get("false_token_id")
    if type(true) is not int or type(false) not in (int, type(None)):
        raise CorruptFile(f"{place}/config.json names no tokens: true_token_id, false_token_id.", hint=PULL_AGAIN)
    file = checkpoint.path / TEXT_FILE
    text = read_json_object(file) if file.is_file() else {}
    variables = _variables(text)
    if module.get("module_input_name", "causal_logits") != text.get("module_output_name", "causal_logits"):
        return PublishedRanking(refused=f"its module {place} reads what no module before it makes")
    if variables is None:
        return PublishedRanking(refused=f"its {TEXT_FILE} puts texts to the model in a way that Hearth does not know")
    scores = _scores(checkpoint)
    if scores is None:
        return PublishedRanking(refused="it names an activation of its scores that Hearth does not compute")
    return PublishedRanking(true, false, None, PairReading(scores=scores, variables=variables))


def _variables(text: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chat template is given besides the messages; None where messages are not plain texts."""
    modality, kwargs = text.get("modality_config"), text.get("processing_kwargs")
    message = modality.get("message") if isinstance(modality, Mapping) else None
    if isinstance(message, Mapping) and message.get("format", "flat") != "flat":
        return None
    given = kwargs.get("chat_template") if isinstance(kwargs, Mapping) else None
    if given is None:
        return {}
    if not isinstance(given, Mapping) or any(type(value) not in (bool, int, float, str) for value in given.values()):
        return None
    return dict(given)


def _scores(checkpoint: Checkpoint) -> PairScores | None:
    """As CrossEncoder does: what its files say, else a sigmoid."""
    file = checkpoint.path / PROMPTS_FILE
    table = checkpoint.config.get("sentence_transformers")
    named = table.get("activation_fn") if isinstance(table, Mapping) else None
    if file.is_file():
        named = read_json_object(file).get("activation_fn") or named
    return "sigmoid" if named is None else _SCORES.get(str(named).rpartition(".")[2])
