"""What a decoder-only transformer is, in one frozen dataclass: a model is its difference from Llama.

Family files (`families/<name>.py`) fill it from a published configuration; `decoder.py` builds it. Neither knows of
file formats, number formats or devices. The defaults describe Llama 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.model.text.mixers import Mixer

NormPlacement = Literal["pre", "post", "pre_post"]
Norm = Literal["rms", "layer"]
Branches = Literal["serial", "parallel", "parallel_shared"]
Mlp = Literal["gated", "plain"]
Activation = Literal["silu", "gelu_tanh", "gelu", "quick_gelu", "relu", "relu2", "xielu"]
QkNorm = Literal["head", "full", "head_layer", "rotated_head", "rotated_bare"]
Scores = Literal["softmax", "softmax_of_chosen", "sigmoid"]


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding of one kind of layer, reduced to what the device computes.

    All scaling rules (linear, llama3, yarn, longrope, partial) end up in these numbers: each is a choice of inverse
    frequencies and one factor on cos and sin.

    Attributes:
        inv_freq: f32 values, one per rotated pair: `rotary_dim / 2` of them. Pair i rotates dimensions i and
            i + rotary_dim/2 of a head (the "half" or NeoX layout; interleaved checkpoints are permuted on import).
        attention_factor: multiplies cos and sin (yarn, longrope), 1.0 otherwise.
        streams: by which of a token's positions each pair turns, where it has several (multimodal rope, Qwen2-VL);
            none: all by the one.
    """

    inv_freq: tuple[float, ...]
    attention_factor: float = 1.0
    streams: tuple[int, ...] = ()

    @property
    def rotary_dim(self) -> int:
        return 2 * len(self.inv_freq)


@dataclass(frozen=True)
class LayerConfig:
    """What may differ from layer to layer.

    Attributes:
        rope: index into `DecoderConfig.ropes`, or None for a layer without position embedding (SmolLM3's NoPE).
        sliding_window: attends to this many last positions, itself included; None: to all.
        chunked: the window does not slide, but begins where as many positions have passed: it attends to those of its
            own chunk (Llama 4).
        tempered: its queries grow as `DecoderConfig.attention_temperature` says.
        attends: it has attention.
        mixer: what mixes the tokens in place of attention; where there are both, they read the same and what they give
            is added up (Falcon-H1).
        feed_forward: it has an MLP; there are layers that only mix, and layers that have nothing else (Nemotron-H).
        channel_mixer: what its MLP is where that looks at the tokens before, too (RWKV).
        experts: its MLP is a mixture of `DecoderConfig.experts`.
        norm_placement: where its norms are, if not as `DecoderConfig` says (OLMo Hybrid).
        head_dim, num_heads, num_kv_heads, intermediate_size: sizes of its own; None: those of the model.
        reads: it has no keys and values of its own, and attends to those of this layer (Gemma 4); None: it has.
        gate_cut: of the MLP's gate only what is so many standard deviations above its mean goes into the activation,
            and only as far as it is above (Gemma 3n); None: all.
        own_values: False where keys, before they are normalised and rotated, are the values too (Gemma 4).
    """

    rope: int | None = 0
    sliding_window: int | None = None
    chunked: bool = False
    tempered: bool = True
    attends: bool = True
    mixer: Mixer | None = None
    feed_forward: bool = True
    channel_mixer: Mixer | None = None
    experts: bool = False
    norm_placement: NormPlacement | None = None
    head_dim: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    intermediate_size: int | None = None
    reads: int | None = None
    own_values: bool = True
    gate_cut: float | None = None

    @property
    def mixes(self) -> bool:
        """Whether its tokens learn of each other."""
        return self.attends or self.mixer is not None

    @property
    def mixers(self) -> tuple[Mixer, ...]:
        """All that keeps a state of each sequence."""
        return tuple(mixer for mixer in (self.mixer, self.channel_mixer) if mixer is not None)

    @property
    def reads_others(self) -> bool:
        """Whether it reads what another layer made, beside what that gave."""
        return self.reads is not None or any(mixer.reads_others for mixer in self.mixers)


@dataclass(frozen=True)
class ExpertsConfig:
    """A mixture of experts: several MLPs, of which a router chooses some for each token, and how it does.

    A token's scores are made of one number for each expert. The experts with the highest scores are chosen, and what
    they compute is added up, each multiplied by its weight, which is its score.

    Attributes:
        count: experts of a layer.
        used: of these, how many are chosen for a token.
        intermediate_size: of each.
        scores: `softmax`: over all experts; `softmax_of_chosen`: over those that are chosen, by the router's numbers
            themselves (Granite); `sigmoid`: of each number (DeepSeek, GLM).
        choice_bias: a vector is added to the scores for the choice alone.
        groups, used_groups: experts stand in so many groups, one after another, and are chosen from so many of them:
            those whose best scores have the largest sums.
        best_of_group: how many of these count, one or two (DeepSeek 2, 3).
        normalise: weights are divided by their sum.
        scale: multiplies the weights.
        shared_size: width of an MLP beside the experts, which computes every token; 0: none.
        shared_gate: what that computes is multiplied by the sigmoid of one more number of the token (Qwen 2).
        shared_scale: multiplies what that computes.
        latent_size: width of what experts read and write, between a product before all of them and one behind
            (Nemotron 3 Super); 0: they read the token itself.
        bias: the router and the experts' matrices have biases (gpt-oss).
        scales_input: what an expert reads is multiplied by its weight, in place of what it gives (Llama 4, where one is
            chosen).
        own_norms: experts, what is beside them and the router each read what a norm of their own makes of the token,
            and the first two give what another makes of it (Gemma 4).
        own_scale: each expert has a number of its own, which its weight is multiplied by at the end (Gemma 4).
    """

    count: int
    used: int
    intermediate_size: int
    scores: Scores = "softmax"
    choice_bias: bool = False
    groups: int = 1
    used_groups: int = 1
    best_of_group: int = 2
    normalise: bool = True
    scale: float = 1.0
    shared_size: int = 0
    shared_gate: bool = False
    shared_scale: float = 1.0
    latent_size: int = 0
    bias: bool = False
    scales_input: bool = False
    own_norms: bool = False
    own_scale: bool = False


@dataclass(frozen=True)
class PredictorConfig:
    """A block behind the layers that predicts one token more (multi-token prediction, DeepSeek 3): of the embedding of
    a token and the hidden state of the one before it, after the final norm, each normalised and multiplied by a matrix,
    it makes the hidden state of that token's place, of which the head makes logits.

    Attributes:
        layer: what it computes between.
        chains: what it takes of itself in place of the model's hidden states, to predict further: `normed`, what its
            head reads (Qwen 3.5), or `residual`, before the norm (DeepSeek 3, GLM 4.5).
        own_embedding, own_head: it has matrices of its own in place of the model's.
    """

    layer: LayerConfig
    chains: Literal["normed", "residual"]
    own_embedding: bool = False
    own_head: bool = False


@dataclass(frozen=True)
class AltUpConfig:
    """Several streams in place of one residual, which each layer predicts, computes one of, and corrects by what came
    of that (AltUp).

    Attributes:
        count: of them.
        active: which one layers compute.
    """

    count: int
    active: int = 0


@dataclass(frozen=True)
class LatentConfig:
    """Multi-head latent attention (DeepSeek 2): keys and values of all heads are products of one vector a token.

    With l that vector, a head's query (qn, qr) meets a key (K l, kr) and takes a value V l, where K and V are matrices
    of the head, and qr and kr turn by the position. Its score qn . K l is (K^T qn) . l, and a sum of V l is V times a
    sum of l. So heads attend with queries (K^T qn, qr) to one head of keys (l, kr), whose first numbers are its values
    too: the cache holds one row a token for all of them.

    Attributes:
        rank: of the latent vector l.
        rope_dim: dimensions of qr and kr, which all turn.
        nope_dim: dimensions of qn.
        value_dim: of a head's values.
        query_rank: queries are a product of a normalised vector of so many numbers; None: of the token itself.
        norm_eps: of the norms of both vectors.
    """

    rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int | None = None
    norm_eps: float = 1e-6

    @property
    def row(self) -> int:
        """Numbers of a token in the cache: its latent vector, and behind it what turns."""
        return self.rank + self.rope_dim


@dataclass(frozen=True)
class DecoderConfig:
    """Shape and arithmetic of one decoder-only model.

    Attributes:
        family: name of the family file.
        max_position: context length the authors trained for, in tokens.
        norm: root mean square, or LayerNorm with mean and variance.
        norm_weight, norm_bias: whether norms have these (an RMSNorm has no bias).
        norm_offset: added to every norm's weight when it is used (Gemma: 1.0 as published in safetensors; the GGUF
            files already hold weight + 1, so their family says 0.0).
        norm_placement: `pre`: x + f(norm(x)) (Llama); `post`: x + norm(f(x)) (OLMo 2);
            `pre_post`: x + post_norm(f(norm(x))) (Gemma 2, 3).
        branches: `serial`: the MLP reads what attention has added to; `parallel`: both read the block's input, each
            through its own norm (GPT-NeoX); `parallel_shared`: through the same norm (GPT-J, Phi-2, Falcon 7B).
        mlp: `gated`: down(act(gate(x)) * up(x)); `plain`: down(act(up(x))).
        activation: of the MLP; `relu2` is the square of `relu`, `quick_gelu` x sigmoid(1.702 x),
            `xielu` p x^2 + b x where x > 0, else (n + b) (e^min(x, eps) - 1 - x) + b x, with numbers of each layer.
        mlp_clamp: c: the gate is cut to at most c before its activation, up to -c .. c (gpt-oss); None: off.
        sub_norms: what attention and the MLP compute is normalised before the last product of each (BitNet).
        up_offset: added to up before it is multiplied (gpt-oss: 1).
        experts: what the MLP is in layers that are a mixture of experts; its parts are as `mlp` and `activation` say.
        position_table: a learned vector for each position is added to the embedding (GPT-2).
        embedding_norm: the embedding is normalised (BLOOM).
        layer_embedding: width of a second embedding, of which every layer has its part, that goes through a gate and is
            added behind the MLP (Gemma 4); 0: none.
        layer_vocab: the tokens that this has rows for; the others have the first. 0: all.
        altup: the streams that there are in place of one residual (Gemma 3n); None: one.
        laurel_rank: attention has a product of this rank beside it, of what it reads (Gemma 3n); 0: none.
        layer_scale: what a layer gives is multiplied by a number of its own (Gemma 4).
        qk_norm: None; `head`: RMSNorm over each head of q and k before RoPE (Qwen 3, Gemma 3), weights [head_dim];
            `full`: over the whole projection (OLMo 2), weights [heads * head_dim]; `head_layer`: LayerNorm over each
            head, weights [heads, head_dim] (StableLM 2 12B, Command R+); `rotated_head`: as `head`, after RoPE
            (HunYuan); `rotated_bare`: as that, without weights, in layers that rotate (Llama 4).
        attention_gate: what attention gives is multiplied by numbers made of the token: `full`: as many (Qwen 3.5);
            `head`: one for each head (LFM3).
        gate_activation: what these go through (`softplus`: Laguna).
        attention_sinks: each head has a logit that joins the denominator of its softmax, and nothing else (gpt-oss).
        qkv_clip: q, k and v are cut to -c .. c (OLMo 1, MPT); None: off.
        value_norm: each head of v is normalised, without a weight (Gemma 4).
        latent: all layers that attend do it to latent vectors; `head_dim` is then the size of a row in the cache, and
            there is one head of keys. None: they have keys and values.
        alibi: slopes of the heads: so much for each token that lies between is taken off a score (ALiBi); none: off.
        attention_scale: multiplies q k^T.
        attention_temperature: b, n and o: q is multiplied by 1 + b log(1 + floor((position + o) / n)) (Ministral 3,
            Llama 4); None: off.
        attention_softcap, logit_softcap: c * tanh(x / c) on attention scores and on logits (Gemma 2); None: off.
        embedding_scale: multiplies the embeddings (Gemma sqrt(hidden), Granite).
        residual_scale: multiplies each branch before it is added to the residual (Granite).
        logit_scale: multiplies the logits (Granite 1 / logits_scaling).
        tied_embeddings: the head is the embedding matrix.
        head_bias: a vector is added to the logits (Phi-2).
        predictor: a block that predicts a further token, if the file has one.
    """

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    layers: tuple[LayerConfig, ...]
    ropes: tuple[RopeConfig, ...]
    max_position: int
    norm: Norm = "rms"
    norm_weight: bool = True
    norm_bias: bool = False
    norm_eps: float = 1e-5
    norm_offset: float = 0.0
    norm_placement: NormPlacement = "pre"
    branches: Branches = "serial"
    mlp: Mlp = "gated"
    activation: Activation = "silu"
    mlp_clamp: float | None = None
    up_offset: float = 0.0
    sub_norms: bool = False
    experts: ExpertsConfig | None = None
    position_table: bool = False
    embedding_norm: bool = False
    layer_embedding: int = 0
    layer_vocab: int = 0
    altup: AltUpConfig | None = None
    laurel_rank: int = 0
    layer_scale: bool = False
    qk_norm: QkNorm | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    attention_gate: Literal["full", "head"] | None = None
    gate_activation: Literal["sigmoid", "softplus"] = "sigmoid"
    attention_sinks: bool = False
    qkv_clip: float | None = None
    value_norm: bool = False
    latent: LatentConfig | None = None
    alibi: tuple[float, ...] = ()
    attention_scale: float = 1.0
    attention_temperature: tuple[float, int, int] | None = None
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    tied_embeddings: bool = False
    head_bias: bool = False
    predictor: PredictorConfig | None = None

    @property
    def blocks(self) -> tuple[LayerConfig, ...]:
        """The layers and, as the next one, what predicts further tokens."""
        return self.layers if self.predictor is None else (*self.layers, self.predictor.layer)

    def placement(self, layer: LayerConfig) -> NormPlacement:
        """Where the norms of a layer are."""
        return layer.norm_placement or self.norm_placement

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def head_dim_of(self, layer: LayerConfig) -> int:
        return layer.head_dim or self.head_dim

    def num_heads_of(self, layer: LayerConfig) -> int:
        return layer.num_heads or self.num_heads

    def num_kv_heads_of(self, layer: LayerConfig) -> int:
        return layer.num_kv_heads or self.num_kv_heads

    @property
    def divides(self) -> bool:
        """Whether its layers may be on several devices: none reads what another made, keys and values for one, and they
        hand on one stream."""
        return self.altup is None and not any(layer.reads_others for layer in self.layers)

    @property
    def has_state(self) -> bool:
        """Whether there is recurrent state beside keys and values."""
        return any(layer.mixers for layer in self.layers)

    @property
    def rope_streams(self) -> int:
        """Positions that a token has for its rotation: 1 unless it may be a part of something with rows and columns."""
        return 1 + max((stream for rope in self.ropes for stream in rope.streams), default=0)
