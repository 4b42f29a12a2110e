"""Encoders as they are published: other names of settings and tensors, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.encoding.graph import parameter

from golden import ENCODER_CASES
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.types import TensorInfo
from hearth.errors import CorruptFile, Unsupported
from hearth.model.encoder.load import LoadedEncoder, load_encoder

PATHS = {case.name: case.path for case in ENCODER_CASES}


class Edited:
    """A golden encoder of which `config` and names of tensors may be changed."""

    kind = "safetensors"

    def __init__(self, name: str) -> None:
        self.source = open_checkpoint(PATHS[name])
        self.path: Path = self.source.path
        self.config: dict[str, Any] = dict(self.source.config)
        self.architecture = self.source.architecture
        self.names = {name: name for name in self.source.tensors}  # here -> in the file

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        infos = {new: self.source.tensors[old] for new, old in self.names.items()}
        return {new: TensorInfo(new, info.shape, info.dtype, info.size_bytes) for new, info in infos.items()}

    def raw(self, name: str) -> Any:
        return self.source.raw(self.names[name])

    def rename(self, change: Callable[[str], str]) -> None:
        self.names = {change(new): old for new, old in self.names.items()}


def same_parameters(edited: Any, name: str) -> LoadedEncoder:
    """Holds what is read of an edited encoder against the original."""
    original = open_checkpoint(PATHS[name])
    expected, actual = load_encoder(original), load_encoder(edited)
    assert set(actual.sources) == set(expected.sources)
    for key, source in expected.sources.items():
        assert np.array_equal(parameter(edited, actual.sources[key]), parameter(original, source)), key
    return actual


def test_berts_first_names_of_norms() -> None:
    edited = Edited("bert")
    edited.rename(
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    )
    same_parameters(edited, "bert")


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("bert", "bert."), ("roberta", "roberta."), ("mpnet", "mpnet."), ("modernbert", "model."), ("gte-rank", "new.")],
)
def test_names_with_that_of_the_model_before_them(name: str, prefix: str) -> None:
    edited = Edited(name)
    bare = ("classifier.",)
    edited.rename(lambda key: key if key.startswith(bare) else prefix + key.removeprefix("gte."))
    same_parameters(edited, name)


def test_nomic_with_the_names_of_gpt2() -> None:
    edited = Edited("nomic-bert")
    c = edited.config
    edited.config = {
        "model_type": "nomic_bert", "architectures": ["NomicBertModel"], "activation_function": "swiglu",
        "causal": False, "prenorm": False, "use_rms_norm": False, "parallel_block": False, "n_embd": c["hidden_size"],
        "n_layer": c["num_hidden_layers"], "n_head": c["num_attention_heads"], "n_inner": c["intermediate_size"],
        "n_positions": 8192, "max_trained_positions": 2048, "layer_norm_epsilon": 1e-12, "vocab_size": c["vocab_size"],
        "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "rotary_emb_base": 500.0,
        "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None, "type_vocab_size": 2,
    }  # fmt: skip
    model = same_parameters(edited, "nomic-bert")
    assert model.config.max_position == 2048
    assert model.config.activation == "silu"


def test_gte_as_its_authors_configure_it() -> None:
    edited = Edited("gte-rank")
    edited.architecture = "new"
    edited.config |= {
        "model_type": "new", "architectures": ["NewForSequenceClassification"], "position_embedding_type": "rope",
        "layer_norm_type": "layer_norm", "logn_attention_scale": False, "rope_theta": 700.0, "rope_scaling": None,
    }  # fmt: skip
    del edited.config["rope_parameters"]
    same_parameters(edited, "gte-rank")
    plain = np.array(load_encoder(edited).config.ropes[0].inv_freq)  # type: ignore[arg-type]
    edited.config["rope_scaling"] = {"type": "ntk", "factor": 2.0}
    scaled = np.array(load_encoder(edited).config.ropes[0].inv_freq)  # type: ignore[arg-type]
    size = edited.config["hidden_size"] // edited.config["num_attention_heads"]
    # The base is twice as large, and all is slower by the factor's share of one dimension.
    expected = (2 * 700.0) ** (-np.arange(0, size, 2) / size) / 2 ** (2 / size)
    assert np.allclose(scaled, expected, rtol=1e-6)
    assert (scaled < plain).all()


def test_jina_v3_with_its_authors_names_and_adapters_beside_the_weights() -> None:
    edited = Edited("jina-v3")
    edited.architecture = "xlm-roberta"
    edited.config |= {"model_type": "xlm-roberta", "position_embedding_type": "rotary", "rotary_emb_base": 700.0}
    del edited.config["rope_parameters"]
    adapted = ("Wqkv.weight", "out_proj.weight", "fc1.weight", "fc2.weight", "word_embeddings.weight")

    def authors(name: str) -> str:
        if name.endswith(adapted):
            name = name.removesuffix("weight") + "parametrizations.weight.original"
        return f"roberta.{name}"

    edited.rename(authors)
    edited.names["roberta.encoder.layers.0.mixer.Wqkv.parametrizations.weight.0.lora_A"] = next(
        iter(edited.source.tensors)
    )
    model = same_parameters(edited, "jina-v3")
    assert any(name.endswith("lora_A") for name in model.unused)


def test_modernbert_with_the_names_of_transformers_4() -> None:
    edited = Edited("modernbert")
    del edited.config["rope_parameters"], edited.config["layer_types"]
    edited.config |= {"global_rope_theta": 3000.0, "local_rope_theta": 100.0, "global_attn_every_n_layers": 3}
    model = same_parameters(edited, "modernbert")
    assert [layer.window for layer in model.config.layers] == [0, 4, 4, 0]
    assert [layer.attn_norm for layer in model.config.layers] == [False, True, True, True]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ("bert", {"hidden_act": "mish"}, "hidden_act = 'mish'.*Known: gelu"),
        ("bert", {"is_decoder": True}, "is_decoder = True"),
        ("bert", {"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering"),
        ("nomic-bert", {"moe_every_n_layers": 2}, "moe_every_n_layers = 2"),
        ("gte-rank", {"layer_norm_type": "rms_norm"}, "layer_norm_type = 'rms_norm'"),
        ("jina-v2", {"feed_forward_type": "original"}, "feed_forward_type = 'original'"),
        ("eurobert-classes", {"classifier_pooling": "max"}, "classifier_pooling = 'max'"),
        ("mpnet", {"relative_attention_num_buckets": 64}, "relative_attention_num_buckets = 64"),
    ],
)
def test_a_setting_that_hearth_does_not_compute_is_named(name: str, change: dict[str, Any], says: str) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(Unsupported, match=says):
        load_encoder(edited)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("bert", {"hidden_size": 30}, "multiple of the 4 attention heads"),
        ("bert", {"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        ("bert", {"num_hidden_layers": 3}, "encoder.layer.2.*missing"),
        ("roberta", {"pad_token_id": None}, "pad_token_id"),
        ("roberta", {"max_position_embeddings": 2}, "max_position_embeddings"),
        ("bert-tags", {"id2label": {"0": "O", "2": "A"}}, "id2label"),
        ("bert-tags", {"id2label": {"0": "O"}}, r"classifier.weight.*\[5, 20\]"),
        ("eurobert", {"num_key_value_heads": 3}, "num_key_value_heads = 3"),
    ],
)
def test_damaged_settings_are_named(name: str, change: dict[str, Any], says: str) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(CorruptFile, match=says):
        load_encoder(edited)  # type: ignore[arg-type]


def test_a_tensor_without_a_place_is_refused() -> None:
    edited = Edited("bert")
    edited.names["encoder.layer.0.attention.self.distance_embedding.weight"] = next(iter(edited.source.tensors))
    with pytest.raises(Unsupported, match="distance_embedding"):
        load_encoder(edited)  # type: ignore[arg-type]
