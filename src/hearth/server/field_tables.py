"""What other servers and newer protocols have and Hearth has not, by name: the tables of `fields`, one for each kind of
object, for all protocols.

A field that is in neither a schema nor its table is one that nobody here knows: it is ignored with a warning.
"""

from __future__ import annotations

from typing import Any, Final

from hearth.server.fields import FieldRules, Ignored, Refused, Renamed, Rule

# -- what asks for the answer itself -------------------------------------------------------------------------------

_SAMPLER = "models here are not sampled so."
_SAMPLING: Final[dict[str, Rule]] = {
    "repeat_penalty": Renamed("repetition_penalty"),
    "repetition_penalty_range": Refused("the repetition penalty looks at prompt and answer as a whole.", (0, -1)),
    "repeat_last_n": Refused("the repetition penalty looks at prompt and answer as a whole.", (-1,)),
    "typical_p": Refused(_SAMPLER, (1, 0)),
    "typical": Refused(_SAMPLER, (1, 0)),
    "tfs_z": Refused(_SAMPLER, (1, 0)),
    "tfs": Refused(_SAMPLER, (1, 0)),
    "top_a": Refused(_SAMPLER, (0,)),
    "top_n_sigma": Refused(_SAMPLER, (-1, 0)),
    "nsigma": Refused(_SAMPLER, (-1, 0)),
    "mirostat": Refused(_SAMPLER, (0,)),
    "mirostat_mode": Refused(_SAMPLER, (0,)),
    "dynamic_temperature": Refused(_SAMPLER, (False,)),
    "dynatemp_range": Refused(_SAMPLER, (0,)),
    "smoothing_factor": Refused(_SAMPLER, (0,)),
    "epsilon_cutoff": Refused(_SAMPLER, (0,)),
    "eta_cutoff": Refused(_SAMPLER, (0,)),
    "xtc_probability": Refused(_SAMPLER, (0,)),
    "dry_multiplier": Refused(_SAMPLER, (0,)),
    "no_repeat_ngram_size": Refused(_SAMPLER, (0,)),
    "encoder_repetition_penalty": Refused(_SAMPLER, (1,)),
    "penalty_alpha": Refused(_SAMPLER, (0,)),
    "adaptive_target": Refused(_SAMPLER, (-1,)),
    "samplers": Refused("their order is fixed.", ("", [])),
    "sampler_order": Refused("their order is fixed.", ([],)),
    "sampler_priority": Refused("their order is fixed.", ([],)),
    "temperature_last": Refused("the order of samplers is fixed.", (False,)),
    "do_sample": Refused("temperature 0 takes the likeliest token.", (True,)),
    "use_beam_search": Refused("answers are drawn token by token.", (False,)),
    "num_beams": Refused("answers are drawn token by token.", (1, 0)),
    "length_penalty": Refused("answers are drawn token by token.", (1, 0)),
    "early_stopping": Refused("answers are drawn token by token.", (False,)),
    "best_of": Refused("ask for n answers and choose.", (1,)),
    "guidance_scale": Refused(_SAMPLER, (1, 0)),
    "cfg_scale": Refused(_SAMPLER, (1, 0)),
    "negative_prompt": Refused(_SAMPLER, ("",)),
    "min_tokens": Refused("an answer ends when the model ends it; see ignore_eos.", (0,)),
    "min_length": Refused("an answer ends when the model ends it; see ignore_eos.", (0,)),
    "min_new_tokens": Refused("an answer ends when the model ends it; see ignore_eos.", (0,)),
    "t_max_predict_ms": Refused("limit the answer by its tokens.", (0, -1)),
    "bad_words": Refused("use logit_bias.", ([],)),
    "banned_tokens": Refused("use logit_bias.", ([],)),
    "banned_strings": Refused("use logit_bias.", ([],)),
    "custom_token_bans": Refused("use logit_bias.", ("",)),
    "allowed_token_ids": Refused("use logit_bias or a grammar.", ([],)),
    "logits_processors": Refused("requests bring no code.", ([],)),
    "skip_special_tokens": Refused("control tokens are never written out in an answer.", (True,)),
    "include_stop_str_in_output": Refused("stop strings are cut off.", (False,)),
    "truncate_prompt_tokens": Refused("no part of a prompt is left out.", (-1,)),
    "n_probs": Refused("use logprobs.", (0,)),
    "prompt_logprobs": Refused("log-probabilities are those of the answer.", (False,)),
    "lora": Refused("an adapter that the server was started with is named in `model`: MODEL:ADAPTER.", ([],)),
    "lora_request": Refused("an adapter that the server was started with is named in `model`: MODEL:ADAPTER."),
    "adapter": Refused("an adapter that the server was started with is named in `model`: MODEL:ADAPTER.", ("",)),
    "options": Refused("give each of them as a field of the request.", ({},)),
    "grammar_lazy": Refused("a grammar holds from the first token.", (False,)),
    "grammar_triggers": Refused("a grammar holds from the first token.", ([],)),
    "guided_whitespace_pattern": Refused("white space in JSON is bounded by itself."),
}

# -- what changes nothing ------------------------------------------------------------------------------------------

_HARMLESS: Final[dict[str, Rule]] = {
    "user": Ignored(),
    "metadata": Ignored(),
    "client_metadata": Ignored(),
    "safety_identifier": Ignored(),
    "prompt_cache_key": Ignored(),
    "prompt_cache_retention": Ignored(),
    "prompt_cache_options": Ignored(),
    "cache_prompt": Ignored(),
    "cache_control": Ignored(),
    "service_tier": Ignored(("auto", "default", "standard_only")),
    "store": Ignored((False,)),
    "prediction": Ignored(()),  # only ever faster; guessing ahead is the server's business
    "spaces_between_special_tokens": Ignored((True,)),
    "verbosity": Ignored(("medium",)),
}

# -- by route ------------------------------------------------------------------------------------------------------

_TEXT_ONLY = "models here take and give text only."
_LENGTHS: Final = ("n_predict", "num_predict", "max_new_tokens", "max_output_tokens", "max_tokens")


def _lengths(ours: str) -> dict[str, Rule]:
    """Other names of the longest answer."""
    return {name: Renamed(ours) for name in _LENGTHS if name != ours}


def _elsewhere(**places: str) -> dict[str, Rule]:
    """Fields of other routes and protocols: what to use instead."""
    return {name: Refused(why, ([], "")) for name, why in places.items()}


# Names under which protocols and servers take the form of an answer. Where a route has another name for it, an answer
# of no form at all would be the wrong one.
_FORMS: Final = (
    *("response_format", "response_schema", "json_schema", "json_mode", "grammar", "regex", "ebnf", "structural_tag"),
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_decoding", "structured_outputs"),
    *("format", "output_format", "output_config", "text"),
)


def _forms(use: str) -> dict[str, Rule]:
    """What asks for a form of the answer, on a route whose own fields for that are others."""
    return {name: Refused(use, ([], "", {}, False)) for name in _FORMS}


_THINKING_FORMS: Final[dict[str, Rule]] = {
    "reasoning_format": Refused("thinking is given apart, as reasoning_content.", ("auto", "deepseek", "parsed")),
    "separate_reasoning": Refused("thinking is given apart, as reasoning_content.", (True,)),
    "stream_reasoning": Ignored((True,)),
}

CHAT: Final = FieldRules(
    {
        **_SAMPLING,
        **_forms("use response_format."),
        **_HARMLESS,
        **_lengths("max_tokens"),
        **_THINKING_FORMS,
        "modalities": Refused(_TEXT_ONLY, (["text"],)),
        "audio": Refused(_TEXT_ONLY),
        "moderation": Refused("nothing is moderated."),
        "web_search_options": Refused("nothing leaves this machine."),
        "plugins": Refused("nothing leaves this machine.", ([],)),
        "functions": Refused("use tools.", ([],)),
        "function_call": Refused("use tool_choice.", ("none",)),
        "chat_template": Refused("requests bring no templates.", ("",)),
        "documents": Refused("put them into a message.", ([],)),
        "echo": Refused("an answer is what the model says.", (False,)),
        "add_special_tokens": Refused("a template writes what it writes.", (False,)),
        **_elsewhere(
            prompt="use messages.",
            input="use messages.",
            system="use a message of role system.",
            instructions="use a message of role system.",
            stop_sequences="use stop.",
            suffix="use /v1/completions.",
        ),
    },
    absent={"max_tokens": (-1,), "max_completion_tokens": (-1,), "stop": ("",)},
)

COMPLETION: Final = FieldRules(
    {
        **_SAMPLING,
        **_forms("use response_format."),
        **_HARMLESS,
        **_lengths("max_tokens"),
        "max_completion_tokens": Renamed("max_tokens"),
        "add_special": Renamed("add_special_tokens"),
        "return_tokens_as_token_ids": Refused("tokens are told as their texts.", (False,)),
        "prompt_embeds": Refused("a prompt is text or token ids."),
        **_elsewhere(
            messages="use /v1/chat/completions.",
            tools="use /v1/chat/completions.",
            tool_choice="use /v1/chat/completions.",
            stop_sequences="use stop.",
            chat_template_kwargs="use /v1/chat/completions.",
        ),
    },
    absent={"max_tokens": (-1,), "stop": ("",)},
)

RESPONSE: Final = FieldRules(
    {
        **_SAMPLING,
        **_forms("use text.format."),
        **{name: rule for name, rule in _HARMLESS.items() if name not in ("user", "metadata")},
        **_lengths("max_output_tokens"),
        "max_completion_tokens": Renamed("max_output_tokens"),
        "previous_response_id": Refused("nothing is kept on this server; send the whole input."),
        "conversation": Refused("nothing is kept on this server; send the whole input."),
        "background": Refused("nothing is kept on this server.", (False,)),
        "prompt": Refused("nothing is kept on this server; send the prompt itself."),
        "moderation": Refused("nothing is moderated."),
        "modalities": Refused(_TEXT_ONLY, (["text"],)),
        "truncation": Ignored(("disabled",)),
        "max_tool_calls": Ignored(()),  # of tools that the server runs: there are none
        "context_management": Ignored(([],)),
        **_elsewhere(
            messages="use input.",
            reasoning_effort="use reasoning.effort.",
            stop_sequences="use stop.",
            chat_template_kwargs="use /v1/chat/completions.",
        ),
        "n": Refused("a response is one answer.", (1,)),
        "logprobs": Refused("use include and top_logprobs.", (False,)),
    },
    absent={"max_output_tokens": (-1,), "stop": ("",)},
)

EMBEDDING: Final = FieldRules(
    {
        "user": Ignored(),
        "input_type": Refused("every text is embedded as it is."),
        "task": Refused("every text is embedded as it is."),
        "task_type": Refused("every text is embedded as it is."),
        "prompt_name": Refused("every text is embedded as it is."),
        "instruction": Refused("write it before the text.", ("",)),
        "pooling": Refused("a model pools as it was trained to."),
        "normalize": Refused("vectors are scaled to length 1.", (True,)),
        "embd_normalize": Refused("vectors are scaled to length 1.", (2,)),
        "late_chunking": Refused("every text is embedded by itself.", (False,)),
        "truncate": Refused("no part of an input is left out.", ("none", "NONE", False)),
        "truncate_prompt_tokens": Refused("no part of an input is left out.", (-1,)),
        "add_special_tokens": Refused("a text begins as the model expects it.", (True,)),
    }
)

RERANK: Final = FieldRules(
    {
        "user": Ignored(),
        "id": Ignored(),
        "rank_fields": Refused("a document is one text.", ([], ["text"])),
        "max_chunks_per_doc": Refused("no document is divided."),
        "max_tokens_per_doc": Refused("no part of a document is left out."),
        "overlap_tokens": Refused("no document is divided."),
        "truncate": Refused("no part of a document is left out.", ("none", "NONE", False)),
        "truncate_prompt_tokens": Refused("no part of a document is left out.", (-1,)),
        "truncation": Refused("no part of a document is left out.", (False,)),
        "instruction": Refused("write it before the query.", ("",)),
        "top_k": Renamed("top_n"),
    }
)

VISION: Final = FieldRules(
    {
        "user": Ignored(),
        "candidate_labels": Renamed("labels"),
        "hypothesis_template": Renamed("template"),
        "top_k": Renamed("top"),
        "image_url": Refused("Hearth fetches nothing: send the picture itself, as image.", ("",)),
        "size": Refused("pictures are brought to the size that the model was compiled for."),
    }
)

_NO_EDITS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"edits": []},
    {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
)
MESSAGES: Final = FieldRules(
    {
        **_SAMPLING,
        **_forms("use output_config.format."),
        **_HARMLESS,
        **_lengths("max_tokens"),
        "max_tokens_to_sample": Renamed("max_tokens"),
        "context_management": Ignored(_NO_EDITS),  # it only ever drops parts of a conversation
        "inference_geo": Ignored(()),
        "container": Refused("no code runs here."),
        "mcp_servers": Refused("nothing leaves this machine.", ([],)),
        **_elsewhere(
            prompt="use messages.",
            input="use messages.",
            instructions="use system.",
            stop="use stop_sequences.",
            functions="use tools.",
            reasoning_effort="use output_config.effort.",
        ),
        "n": Refused("a message is one answer.", (1,)),
        "logprobs": Refused("this protocol has none; use /v1/chat/completions.", (False,)),
        "top_logprobs": Refused("this protocol has none; use /v1/chat/completions.", (0,)),
    },
    absent={"stop_sequences": ([""],)},
)

TOKENS: Final = FieldRules(
    {
        "add_special_tokens": Renamed("add_special"),
        "parse_special": Refused("a text cannot write control tokens.", (False,)),
        "tools": Refused("tokens are those of the messages.", ([],)),
    }
)

# -- parts of a request --------------------------------------------------------------------------------------------

_CONTINUES = "the answer is always the assistant's next turn."
CHAT_MESSAGE: Final = FieldRules(
    {
        "reasoning": Renamed("reasoning_content"),
        "thinking": Renamed("reasoning_content"),
        "prefix": Refused(_CONTINUES, (False,)),
        "partial": Refused(_CONTINUES, (False,)),
        "audio": Refused(_TEXT_ONLY),
        "images": Refused(_TEXT_ONLY, ([],)),
        # What clients add to an answer that they have read.
        "parsed": Ignored(),
        "annotations": Ignored(([],)),
    },
    place="messages[].",
)
TOOL_CALL: Final = FieldRules({"index": Ignored()}, place="messages[].tool_calls[].")
CALLED_FUNCTION: Final = FieldRules({"parsed_arguments": Ignored()}, place="messages[].tool_calls[].function.")
PART: Final = FieldRules(
    {
        "cache_control": Ignored(),
        "annotations": Ignored(([],)),
        "citations": Ignored(([],)),
        "logprobs": Ignored(),
    },
    place="content[].",
)
PICTURE: Final = FieldRules(
    {
        "cache_control": Ignored(),
        "detail": Ignored(),
        "file_id": Refused("Hearth keeps no files: send the picture itself."),
    },
    place="content[].",
)
BLOCK: Final = FieldRules(
    {
        "cache_control": Ignored(),
        "citations": Ignored(([],)),
        "caller": Ignored(({"type": "direct"},)),
        "toolset_name": Ignored(()),
    },
    place="content[].",
)
TOOL: Final = FieldRules(
    {
        "cache_control": Ignored(),
        "defer_loading": Ignored((False,)),
        "eager_input_streaming": Ignored(),
        "allowed_callers": Ignored((["direct"],)),
    },
    place="tools[].",
)
ITEM: Final = FieldRules(
    {
        "id": Ignored(),
        "status": Ignored(),
        "phase": Ignored(),
        "encrypted_content": Ignored(),
        "caller": Ignored(({"type": "direct"},)),
    },
    place="input[].",
)
STRUCTURED_OUTPUTS: Final = FieldRules(
    {
        "structural_tag": Refused("use a grammar."),
        "whitespace_pattern": Refused("white space in JSON is bounded by itself."),
        "disable_fallback": Ignored(),
        "disable_any_whitespace": Ignored((False,)),
        "disable_additional_properties": Refused("write additionalProperties into the schema.", (False,)),
    },
    place="structured_outputs.",
)
STREAM_OPTIONS: Final = FieldRules({"include_obfuscation": Ignored((False,))}, place="stream_options.")
REASONING: Final = FieldRules(
    {
        "summary": Ignored(),  # thinking is given as it is
        "generate_summary": Ignored(),
        "max_tokens": Ignored(()),
    },
    place="reasoning.",
)
TEXT_SETTINGS: Final = FieldRules({"verbosity": Ignored(("medium",))}, place="text.")
THINKING: Final = FieldRules({"display": Ignored()}, place="thinking.")
