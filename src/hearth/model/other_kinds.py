"""What a checkpoint is that is no model Hearth runs: named for what it is, with what to look for instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from hearth.errors import Unsupported
from hearth.model.settings import shown

# By `model_type` of config.json or `general.architecture` of a GGUF file, as patterns; the first that fits counts.
_KINDS: tuple[tuple[str, str], ...] = (
    (
        "bert *-bert *-bert-* *bert roberta xlm-roberta* electra mpnet deberta* nomic* gte new eurobert neo-bert "
        "gemma-embedding llama-embed t5encoder",
        "an encoder (it makes vectors and writes no text)",
    ),
    ("*moe* *mixtral* gpt-oss gpt_oss dbrx grok* arctic deepseek* dots1 minimax* glm-dsa "
     "bailing* cohere2moe llama4*", "a mixture of experts"),
    ("mamba* falcon_mamba *rwkv* *hybrid* plamo2 recurrent_gemma zamba*",
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


def kind_of_architecture(name: str) -> str:
    """What a model of this architecture is, as what follows on "It is"; empty if unknown."""
    lowered = name.lower()
    return next((kind for patterns, kind in _KINDS if any(fnmatchcase(lowered, p) for p in patterns.split())), "")


def refuse_other_heads(place: str, config: Mapping[str, Any], tensors: Iterable[str] = ()) -> None:
    """Raises Unsupported where a model has the head of another task than writing text.

    Args:
        place: the model, for the message.
        config: content of its config.json.
        tensors: names, where they are known already.
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
