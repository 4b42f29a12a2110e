"""Jina embeddings v3: XLM-RoBERTa with rotated heads. The adapters for its tasks are left out, as its authors' code
does where no task is given."""

from hearth.model.encoder.config import EncoderConfig, EncoderLayer
from hearth.model.encoder.families.base import Family, bert_config, num_layers, token_head
from hearth.model.encoder.families.roberta import HEAD_HF, sequence_head
from hearth.model.encoder.names import BERT_GGUF
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Fused, Rule, Rules
from hearth.model.text.families.base import head_dim
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> EncoderConfig:
    most = settings.count("max_position_embeddings", most=MAX_POSITIONS)
    return bert_config(
        settings,
        "jina_v3",
        layers=(EncoderLayer(rope=0),) * num_layers(settings),
        ropes=(make_rope(flat_rope_parameters(settings), head_dim=head_dim(settings)),),
        # It counts two positions that XLM-RoBERTa does not use; nothing here depends on them.
        max_position=most - 2 if settings.kind == "safetensors" and most > 2 else most,
    )


def _named(first: str, second: str) -> dict[str, Rule]:
    """A weight in the file of the authors, where adapters may stand beside it, and in that of transformers."""
    return {
        "": (f"{first}.weight", f"{first}.parametrizations.weight.original", f"{second}.weight"),
        "_bias": (f"{first}.bias", f"{second}.bias"),
    }


def _rules(table: dict[str, tuple[str, str]]) -> Rules:
    return {parameter + end: rule for parameter, names in table.items() for end, rule in _named(*names).items()}


_QKV, _LAYER, _NEW = ("q", "k", "v"), "encoder.layers.N.", "layers.N."
HF: Rules = {
    **_rules(
        {
            "embed": ("embeddings.word_embeddings", "embeddings.word_embeddings"),
            "token_type_embed": ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings"),
            "embed_norm": ("emb_ln", "embeddings.LayerNorm"),
            "layers.N.o": (_LAYER + "mixer.out_proj", _NEW + "self_attn.o_proj"),
            "layers.N.attn_post_norm": (_LAYER + "norm1", _NEW + "post_attention_layernorm"),
            "layers.N.up": (_LAYER + "mlp.fc1", _NEW + "mlp.fc1"),
            "layers.N.down": (_LAYER + "mlp.fc2", _NEW + "mlp.fc2"),
            "layers.N.mlp_post_norm": (_LAYER + "norm2", _NEW + "post_mlp_layernorm"),
            "head.classifier": ("classifier", "classifier"),
        }
    ),
    **{
        f"layers.N.{x}": (
            Fused(_LAYER + "mixer.Wqkv.weight", _QKV),
            Fused(_LAYER + "mixer.Wqkv.parametrizations.weight.original", _QKV),
            f"{_NEW}self_attn.{x}_proj.weight",
        )
        for x in _QKV
    },
    **{
        f"layers.N.{x}_bias": (
            Fused(_LAYER + "mixer.Wqkv.bias", ("q_bias", "k_bias", "v_bias")),
            f"{_NEW}self_attn.{x}_proj.bias",
        )
        for x in _QKV
    },
    **HEAD_HF,
}
GGUF: Rules = {
    **BERT_GGUF,
    **{f"layers.N.{x}": Fused("blk.N.attn_qkv.weight", _QKV) for x in _QKV},
    **{f"layers.N.{x}_bias": Fused("blk.N.attn_qkv.bias", ("q_bias", "k_bias", "v_bias")) for x in _QKV},
}
FAMILY = Family(
    name="jina_v3",
    model_types=("jina_embeddings_v3", "xlm-roberta"),
    architectures=("jina-bert-v3",),
    configure=configure,
    matches=lambda config: (
        config.get("model_type") == "jina_embeddings_v3" or config.get("position_embedding_type") == "rotary"
    ),
    defaults={"layer_norm_eps": 1e-5, "max_position_embeddings": 8194, "rope_theta": 20000.0, "type_vocab_size": 1},
    aliases={"rotary_emb_base": "rope_theta"},
    honours=frozenset({"position_embedding_type"}),
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=(("roberta.", ""),),
    ignored=("*.lora_A", "*.lora_B"),
    sequence_head=sequence_head,
    token_head=token_head,
)
