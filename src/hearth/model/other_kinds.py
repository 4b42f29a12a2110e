"""What a checkpoint is that is no model Hearth runs: named for what it is, with what to look for instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hearth.errors import Unsupported
from hearth.model.settings import shown

WHAT_RUNS = "Look for the same model as a GGUF file (Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16) or for the unquantised original."

# By `model_type` of config.json or `general.architecture` of a GGUF file, as patterns; the first that fits counts.
_KINDS: tuple[tuple[str, str], ...] = (
    (
        "bert *-bert *-bert-* *bert roberta xlm-roberta* electra mpnet deberta* nomic* gte new eurobert neo-bert "
        "gemma-embedding llama-embed t5encoder",
        "an encoder (it makes vectors and writes no text)",
    ),
    ("*moe* *mixtral* gpt-oss gpt_oss dbrx grok* arctic deepseek* dots1 minimax* glm-dsa "
     "bailing* cohere2moe llama4*", "a mixture of experts"),
    ("mamba* *rwkv* jamba* falcon-h1 falcon_h1 nemotron_h* nemotron-h* lfm2* granitehybrid *hybrid* qwen3next "
     "qwen3_next qwen35* qwen3_5* plamo2 recurrent_gemma kimi-linear zamba* bamba*",
     "made of layers with a recurrent state, all or some"),
    ("t5* mt5 umt5 bart mbart pegasus marian m2m_100 nllb* whisper* *speech* parakeet* encodec musicgen* bark",
     "an encoder with a decoder (translation, speech)"),
    ("clip siglip* vit dinov* detr sam* segformer mllama llava* idefics* paligemma* *_vl *vl *vl_text *vlmoe cogvlm "
     "internvl* smolvlm pixtral* florence* blip* fuyu chameleon molmo* moondream* minicpmv minicpmo",
     "a model that sees"),
    ("flux* sd1 sd3 sdxl* lumina* wan hunyuan_video* ltxv aura* qwen_image* unet* cosmos* hidream*",
     "a diffusion model, which makes pictures"),
    ("llada* dream* rnd1", "a diffusion model of text"),
    ("eagle* dflash* gemma4-assistant medusa", "a draft model that only works beside a model of its own"),
)  # fmt: skip
_ENDINGS: Mapping[str, str] = {
    "ForSequenceClassification": "a classifier (or a reranker or reward model): it gives scores and writes no text",
    "ForTokenClassification": "a tagger: it gives each token a label and writes no text",
    "ForQuestionAnswering": "an extractor of answers: it marks a place in a text and writes none",
    "ForMultipleChoice": "a classifier: it gives scores and writes no text",
    "ForRewardModel": "a reward model: it gives scores and writes no text",
    "RewardModel": "a reward model: it gives scores and writes no text",
    "ForMaskedLM": "a model that fills gaps and writes no text",
}
# Heads that no language model has, as patterns of tensor names.
_OTHER_HEADS = (
    "score.*",
    "classifier.*",
    "v_head.*",
    "value_head.*",
    "reward_head.*",
    "qa_outputs.*",
    "cls.*",
    "cls.output.*",
)
_QUANTISED_TENSORS: Mapping[str, str] = {
    ".qweight": "GPTQ or AWQ",
    ".qzeros": "GPTQ or AWQ",
    ".weight_packed": "compressed-tensors",
    ".weight_scale": "FP8 or compressed-tensors",
    ".weight_scale_inv": "FP8",
    ".absmax": "bitsandbytes",
    ".quant_state.bitsandbytes__nf4": "bitsandbytes",
    ".quant_state.bitsandbytes__fp4": "bitsandbytes",
    ".trellis": "EXL3",
    ".q_weight": "EXL2",
    ".W_q": "HQQ",
    ".biases": "MLX",
    ".scales": "MLX, GPTQ or AWQ",
}
_QUANTISATION_FILES: Mapping[str, str] = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}


def kind_of_architecture(name: str) -> str:
    """What a model of this architecture is, as what follows on "It is"; empty if unknown."""
    lowered = name.lower()
    return next((kind for patterns, kind in _KINDS if any(fnmatchcase(lowered, p) for p in patterns.split())), "")


def refuse_quantised(
    place: str, config: Mapping[str, Any], tensors: Iterable[str] = (), folder: Path | None = None
) -> None:
    """Raises Unsupported where a folder's weights are in another number format than f32, f16 and bf16.

    Args:
        place: the model, for the message.
        config: content of its config.json.
        tensors: names, where they are known already.
        folder: where it is, if it is on this disk.
    """
    how = _quantisation(config, list(tensors), folder)
    if how:
        raise Unsupported(
            f"{place} holds weights quantised by {how}.",
            why="From safetensors files Hearth reads F32, F16 and BF16, and quantises itself (--quant).",
            hint=WHAT_RUNS,
        )


def _quantisation(config: Mapping[str, Any], tensors: Sequence[str], folder: Path | None) -> str:
    """By what, and what shows it; empty for plain weights."""
    inner = config.get("text_config")
    for table in (config, inner if isinstance(inner, Mapping) else {}):
        for key in ("quantization_config", "compression_config", "quantization"):
            given = table.get(key)
            if given is None or (key == "quantization" and not isinstance(given, Mapping)):
                continue
            values = given if isinstance(given, Mapping) else {}
            named = next((values[k] for k in ("quant_method", "quant_algo", "format") if values.get(k)), "")
            how = "MLX" if key == "quantization" else str(named)[:40] or "a method without a name"
            return f"{how} (config.json: {key} = {shown(given)})"
    for ending, how in _QUANTISED_TENSORS.items():
        name = next((name for name in tensors if name.endswith(ending)), None)
        if name is not None:
            beside = (
                by for file, by in _QUANTISATION_FILES.items() if folder is not None and (folder / file).is_file()
            )
            return f"{next(beside, how)} (it has the tensor {shown(name)})"
    return ""


def refuse_other_heads(place: str, config: Mapping[str, Any], tensors: Iterable[str] = ()) -> None:
    """Raises Unsupported where a model has the head of another task than writing text.

    Args: as `refuse_quantised`.
    """
    classes = config.get("architectures")
    named = str(classes[0]) if isinstance(classes, list) and classes else ""
    what = next((kind for ending, kind in _ENDINGS.items() if named.endswith(ending)), "")
    head = next((n for n in tensors if any(fnmatchcase(n, p) for p in _OTHER_HEADS)), "")
    if what or head:
        shows = f"In config.json, architectures names {shown(named)}." if what else f"It has the tensor {shown(head)}."
        raise Unsupported(
            f"{place} is {what or _ENDINGS['ForSequenceClassification']}.",
            why=shows,
            hint="Hearth runs language models, and those of their base models that make vectors.",
        )
