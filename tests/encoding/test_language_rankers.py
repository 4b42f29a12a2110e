"""Language models that rank: scores are those of sentence-transformers' CrossEncoder, and of the logits themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.chat.embedding_model import DOCUMENTS, QUERY, RANK_PROMPT, RANKERS, write_ranker
from tests.checkpoint.builders import RawTensor, gguf_bytes

from golden import CASES
from hearth import LLM, Embedder
from hearth.chat.embedding import EmbeddingInput
from hearth.chat.ranking import Ranker
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.embedding import EmbeddingSpec, PairReading
from hearth.errors import TemplateError, Unsupported, UsageError

SCORES = {
    "against": [0.11305128782987595, 0.9401903748512268, 0.9894695281982422],
    "alone": [0.27019914984703064, 0.07538898289203644, 0.22143937647342682],
}
OPTIONS: dict[str, Any] = {"quant": "f32", "precision": "high", "threads": 2, "offline": True}
QWEN3 = next(case for case in CASES if case.name == "qwen3")
YES, NO = 40, 7


@pytest.mark.parametrize("name", RANKERS)
def test_scores_are_those_of_sentence_transformers(tmp_path: Path, cache: Path, name: str) -> None:
    with Embedder(write_ranker(tmp_path, RANKERS[name], **RANK_PROMPT), **OPTIONS) as embedder:
        found = embedder.rerank(QUERY, DOCUMENTS)
        assert (embedder.info.task, embedder.info.labels) == ("classify", ("score",))
        assert embedder.rerank(QUERY, []) == []
    expected = SCORES[name]
    assert [one.index for one in found] == sorted(range(3), key=lambda index: -expected[index])
    assert max(abs(one.score - expected[one.index]) for one in found) < 1e-5


def test_a_ranker_makes_no_vectors_and_labels_nothing(tmp_path: Path, cache: Path) -> None:
    path = write_ranker(tmp_path, RANKERS["against"])
    with Embedder(path, **OPTIONS) as embedder:
        with pytest.raises(UsageError, match="makes no vectors"):
            embedder.embed("the cat")
        with pytest.raises(UsageError, match="It ranks documents"):
            embedder.classify(["the cat"])
    with LLM(path, **OPTIONS) as llm, pytest.raises(Unsupported, match="it ranks documents"):
        llm.embed("the cat")


def test_a_document_is_cut_where_one_asks_for_it(tmp_path: Path, cache: Path) -> None:
    with LLM(write_ranker(tmp_path, RANKERS["against"]), **OPTIONS) as llm:
        ranker = llm.ranker
        assert ranker is not None
        whole = ranker.pair("the cat", "a hat in the hat").ids
        assert ranker.pair("the cat", "a hat in the hat", most=len(whole)).ids == whole
        cut = ranker.pair("the cat", "a hat in the hat", most=len(whole) - 3).ids
        assert cut == ranker.pair("the cat", "a hat").ids
        with pytest.raises(UsageError, match="and what stands around it"):
            ranker.pair("the cat", "a hat", most=3)


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("sentence_bert_config.json", {"modality_config": {"message": {"format": "structured"}}}, "puts texts"),
        ("sentence_bert_config.json", {"module_output_name": "token_embeddings"}, "reads what no module"),
        ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.activation.Tanh"}, "activation"),
    ],
)
def test_what_is_unknown_is_refused(tmp_path: Path, cache: Path, file: str, content: Any, named: str) -> None:
    path = write_ranker(tmp_path, RANKERS["against"])
    (path / file).write_text(json.dumps(content))
    with Embedder(path, **OPTIONS) as embedder, pytest.raises(Unsupported, match=named):
        embedder.embed("the cat")


def ranking_twin(path: Path, labels: list[str]) -> Path:
    """The golden GGUF file as llama.cpp's converter writes rankers: with the rows of two tokens as a layer."""
    assert QWEN3.gguf_path is not None
    twin = open_checkpoint(QWEN3.gguf_path)
    more = {"qwen3.pooling_type": 4, "qwen3.classifier.output_labels": labels}
    head = twin.raw("output.weight").reshape(len(QWEN3.expected_logits()[0]), -1)
    rows = head[[{"yes": YES, "no": NO}.get(label, 0) for label in labels]]
    tensors, data = [], b""
    for info in twin.tensors.values():
        tensors.append(RawTensor(info.name, info.shape[::-1], {"f32": 0, "f16": 1}[info.dtype], len(data)))
        data += twin.raw(info.name).tobytes()
        data += bytes(-len(data) % 32)
    tensors.append(RawTensor("cls.output.weight", (head.shape[1] // 2, len(labels)), 1, len(data)))
    path.write_bytes(gguf_bytes({**twin.config, **more}, tensors, data + rows.tobytes()))
    return path


@pytest.mark.parametrize("labels", [["yes", "no"], ["no", "yes"]])
def test_a_gguf_ranker_gives_the_chance_of_yes_against_no(tmp_path: Path, cache: Path, labels: list[str]) -> None:
    with LLM(ranking_twin(tmp_path / "ranker.gguf", labels), precision="high", threads=2, offline=True) as llm:
        spec = llm.vector_maker.spec
        assert spec.pairs is not None
        assert spec.pairs.template == "rerank"
        maker = Ranker("it", spec, spec.pairs, None).maker  # type: ignore[arg-type]  # the file has no tokenizer
        logit = llm.embed_prepared(EmbeddingInput(QWEN3.token_ids.tolist()), maker)
    expected = QWEN3.expected_logits()[-1, YES] - QWEN3.expected_logits()[-1, NO]
    assert abs(float(logit[0]) - expected) < 2e-4 * np.abs(QWEN3.expected_logits()).max()


def test_a_gguf_ranker_by_other_labels_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(Unsupported, match=r"classifier|cls\.output"):
        LLM(ranking_twin(tmp_path / "ranker.gguf", ["good", "bad"]), offline=True)


def test_texts_stand_in_the_template_and_write_no_control_tokens(starter: LLM) -> None:
    from dataclasses import replace

    from hearth.chat.tokenizer import Tokenizer

    own = starter.tokenizer
    control = min(own.control, key=len)
    spec = replace(own.spec, named_templates={"rerank": f"{control}Q: {{query}} D: {{document}}{control}"})
    ranker = Ranker("it", EmbeddingSpec(), PairReading(template="rerank"), Tokenizer(spec))
    ids = ranker.pair("what?", f"this {control} and {{query}}").ids
    assert own.decode(ids, skip_special=False) == f"{control}Q: what? D: this {control} and {{query}}{control}"
    assert sum(token == own.id_of(control) for token in ids) == 2
    with pytest.raises(TemplateError, match="no template named"):
        Ranker("it", EmbeddingSpec(), PairReading(template="rerank"), own).pair("a", "b")
