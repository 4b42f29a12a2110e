"""`Embedder`: texts in, vectors, ranks and labels out; the numbers are held against the graph, evaluated."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Encoders
from tests.encoding.graph import evaluated
from tests.encoding.lettered import LETTERS, lettered

from golden import ENCODER_CASES
from hearth import LLM, Embedder
from hearth.errors import ContextFull, Unsupported, UsageError
from hearth.model.encoder.batch import Text

CLS, SEP = 2, 3
PATHS = {case.name: case.path for case in ENCODER_CASES}
TEXTS = ["cat", "a dog sat, here", "x", "the quick brown fox jumps over the lazy dog"]


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) + 4 for letter in text if letter != " "]


def reference(name: str, texts: list[Text]) -> np.ndarray:
    return evaluated(PATHS[name], texts)[1][1]


def test_vectors_are_those_of_the_model_in_the_order_of_the_texts(encoders: Encoders) -> None:
    embedder = encoders("bert")
    expected = reference("bert", [Text([CLS, *ids(text), SEP]) for text in TEXTS])
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - expected).max() < 1e-5
    assert np.array_equal(embedder.embed(TEXTS[1]), vectors[1])
    assert np.array_equal(embedder.embed([[CLS, *ids(TEXTS[1]), SEP]])[0], vectors[1])
    assert embedder.embed([]).shape == (0, embedder.size) == (0, 28)


def test_many_threads_get_what_they_would_get_alone(encoders: Encoders) -> None:
    embedder = encoders("bert")
    alone = embedder.embed(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: embedder.embed(TEXTS[n % 4]), range(64)))
    assert all(np.array_equal(vector, alone[n % 4]) for n, vector in enumerate(found))


def test_prompts_and_cut_vectors_as_the_model_says(encoders: Encoders) -> None:
    prompts = {"prompts": {"query": "q ", "passage": "p "}, "default_prompt_name": None}
    config = {**_config("bert"), "matryoshka_dimensions": [8, 16]}
    embedder = encoders("bert", config_sentence_transformers__json=prompts, config__json=config)
    plain = encoders("bert")
    assert np.array_equal(embedder.embed("cat", kind="query"), plain.embed("q cat"))
    assert np.array_equal(embedder.embed("cat", kind="document"), plain.embed("p cat"))
    assert np.array_equal(embedder.embed("cat"), plain.embed("cat"))
    cut = embedder.embed(["cat"], dimensions=8)[0]
    whole = plain.embed("cat")[:8]
    assert np.allclose(cut, whole / np.linalg.norm(whole), atol=1e-6)
    with pytest.raises(UsageError, match="8, 16, 28"):
        embedder.embed("cat", dimensions=9)
    with pytest.raises(UsageError, match="not say that they were made to be cut"):
        plain.embed("cat", dimensions=8)


def test_too_long_a_text_is_refused_unless_it_may_be_cut(encoders: Encoders) -> None:
    embedder = encoders("bert")
    text = "abcdefgh" * 10
    with pytest.raises(ContextFull, match="82 tokens"):
        embedder.embed(text)
    assert np.array_equal(embedder.embed(text, truncate=True), embedder.embed(text[:58]))


def test_documents_are_ranked_by_the_score_of_query_and_document(encoders: Encoders) -> None:
    embedder, query, documents = encoders("bert-rank"), "who", ["cat", "the moon", "x, y"]
    pairs = [
        Text([CLS, *ids(query), SEP, *ids(document), SEP], [0] * 5 + [1] * (len(ids(document)) + 1))
        for document in documents
    ]
    scores = 1 / (1 + np.exp(-reference("bert-rank", pairs)[:, 0]))
    ranked = embedder.rerank(query, documents)
    assert [one.index for one in ranked] == list(np.argsort(-scores))
    assert np.allclose([one.score for one in ranked], sorted(scores, reverse=True), atol=1e-5)
    assert embedder.rerank(query, documents, top=1) == ranked[:1]
    assert embedder.rerank(query, []) == []


def test_texts_are_classified(encoders: Encoders) -> None:
    logits = reference("distilbert", [Text([CLS, *ids(text), SEP]) for text in TEXTS])
    for labels, row in zip(encoders("distilbert").classify(TEXTS), logits, strict=True):
        assert [one.label for one in labels] == [("bad", "fair", "good")[i] for i in np.argsort(-row)]
        assert sum(one.score for one in labels) == pytest.approx(1)


def test_places_are_labelled_by_their_characters(encoders: Encoders) -> None:
    text = "c a t  d o g s"
    logits = reference("bert-tags", [Text([CLS, *ids(text), SEP])])[1:-1]
    names = [("", "A", "A", "B", "B")[i] for i in logits.argmax(axis=1)]
    letters = [i for i, letter in enumerate(text) if letter != " "]
    expected = {at: name for at, name in zip(letters, names, strict=True) if name}
    (found,) = encoders("bert-tags").classify([text])
    covered = {at: one.label for one in found for at in range(one.start, one.end) if text[at] != " "}
    assert covered == expected != {}


def test_what_a_model_does_not_do_is_told(encoders: Encoders) -> None:
    with pytest.raises(UsageError, match="ranks no documents"):
        encoders("bert").rerank("a", ["b"])
    with pytest.raises(UsageError, match="labels nothing"):
        encoders("bert").classify(["a"])
    with pytest.raises(UsageError, match="makes no vectors"):
        encoders("bert-rank").embed("a")
    with pytest.raises(UsageError, match="3 labels"):
        encoders("distilbert").rerank("a", ["b"])
    with pytest.raises(UsageError, match="one text"):
        encoders("bert-rank").rerank("a", "b")
    with pytest.raises(UsageError, match="top is -1"):
        encoders("bert-rank").rerank("a", ["b", "c"], top=-1)


def test_a_model_that_does_not_say_how_it_pools_is_asked_about(tmp_path: Path, cache: Path) -> None:
    path = lettered("bert", tmp_path / "bert")
    (path / "modules.json").unlink()
    options: dict[str, Any] = {"quant": "f32", "precision": "high", "offline": True, "threads": 2}
    with Embedder(path, **options) as embedder, pytest.raises(Unsupported, match=r"do not say.*pooling='mean'"):
        embedder.embed("cat")
    with Embedder(path, pooling="cls", **options) as embedder:
        assert embedder.embed("cat").shape == (28,)


def test_closed_and_pickled(encoders: Encoders, tmp_path: Path, cache: Path) -> None:
    path = lettered("bert", tmp_path / "bert")
    embedder = Embedder(path, quant="f32", precision="high", threads=2, offline=True)
    copy = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(copy.embed("cat"), embedder.embed("cat"))
    copy.close()
    embedder.close()
    with pytest.raises(UsageError, match="closed"):
        embedder.embed("cat")


def test_an_encoder_asked_to_chat_and_a_chat_model_asked_for_vectors(tmp_path: Path, cache: Path, starter: LLM) -> None:
    with pytest.raises(Unsupported, match="is an encoder"):
        LLM(lettered("bert", tmp_path / "bert"), offline=True)
    with Embedder("starter", threads=2, offline=True) as chat:
        with pytest.raises(Unsupported, match="pooling"):
            chat.embed("Hello")
        with pytest.raises(UsageError, match="ranks no documents"):
            chat.rerank("a", ["b"])
    with Embedder("starter", threads=2, offline=True, pooling="mean") as chat:
        assert np.allclose(chat.embed("Hello"), starter.embed("Hello"), atol=1e-4)


def _config(name: str) -> dict[str, Any]:
    import json

    config: dict[str, Any] = json.loads((PATHS[name] / "config.json").read_text())
    return config
