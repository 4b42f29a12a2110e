"""What usual clients send by default beside the messages, as fields of one request each: data for `test_clients.py`.

Named by the client; values are made up, fields and their forms are the clients' own.
"""

from __future__ import annotations

from typing import Any, Final

_SCHEMA: Final = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"path": {"type": "string", "description": "A file"}},
    "required": ["path"],
    "additionalProperties": False,
}
_TOOL: Final = {"type": "function", "function": {"name": "read", "description": "Reads.", "parameters": _SCHEMA}}
_CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
_ASKED: Final = {"role": "user", "content": "What is the capital of France?"}
_CACHED: Final = {"type": "ephemeral"}

CHAT: Final[dict[str, dict[str, Any]]] = {
    "AutoGen: every message has the name of its agent": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "user", "content": "Hello."},
            {"role": "assistant", "name": "helper", "content": "Hello!"},
            {"role": "user", "name": "user", "content": "What is the capital of France?"},
        ],
    },
    "Semantic Kernel: an agent with a name, a developer's message": {
        "messages": [{"role": "developer", "name": "Host", "content": "Be brief."}, _ASKED],
        "store": False,
        "parallel_tool_calls": False,
    },
    "LangGraph: nodes with names, tools, a call in the history": {
        "messages": [
            _ASKED,
            {"role": "assistant", "name": "researcher", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "name": "read", "tool_call_id": "call_1", "content": "Paris."},
        ],
        "tools": [_TOOL],
    },
    "OpenAI's cookbook: examples by name": {
        "messages": [
            {"role": "system", "name": "example_user", "content": "Hi."},
            {"role": "system", "name": "example_assistant", "content": "Hello."},
            _ASKED,
        ],
    },
    "Open WebUI": {
        "messages": [
            {"id": "m1", "timestamp": 1764000000, "role": "user", "content": "Hello."},
            {"id": "m2", "timestamp": 1764000001, "role": "assistant", "content": ""},
            {"id": "m3", "timestamp": 1764000002, "role": "user", "content": "What is the capital of France?"},
        ],
        "session_id": "s1",
        "chat_id": "c1",
        "metadata": {"variables": {"{{USER_NAME}}": "someone"}, "features": {"web_search": False}, "files": None},
        "background_tasks": {"title_generation": True},
        "model_item": {"id": "starter"},
        "keep_alive": "5m",
    },
    "OpenRouter's clients: routing, reasoning of an earlier answer": {
        "messages": [
            _ASKED,
            {
                "role": "assistant",
                "content": "Paris.",
                "refusal": None,
                "reasoning": "Easy.",
                "reasoning_details": [{"type": "reasoning.text", "text": "Easy.", "format": "unknown", "index": 0}],
            },
            {"role": "user", "content": "And of Spain?"},
        ],
        "provider": {"order": ["any"], "allow_fallbacks": True},
        "models": ["starter"],
        "route": "fallback",
        "transforms": ["middle-out"],
        "plugins": [],
        "usage": {"include": True},
        "include_reasoning": True,
    },
    "vLLM's clients": {
        "repetition_penalty": 1.05,
        "top_k": -1,
        "min_p": 0.0,
        "min_tokens": 0,
        "stop_token_ids": [2],
        "skip_special_tokens": True,
        "spaces_between_special_tokens": True,
        "add_generation_prompt": True,
        "continue_final_message": False,
        "use_beam_search": False,
        "length_penalty": 1.0,
        "best_of": 1,
        "priority": 0,
        "chat_template_kwargs": {"enable_thinking": False},
        "guided_decoding_backend": "auto",
    },
    "llama.cpp's web page": {
        "timings_per_token": True,
        "return_progress": True,
        "cache_prompt": True,
        "reasoning_format": "auto",
        "samplers": "",
        "n_predict": -1,
        "typical_p": 1,
        "xtc_probability": 0,
        "xtc_threshold": 0.1,
        "dry_multiplier": 0,
        "dry_base": 1.75,
        "repeat_penalty": 1,
        "repeat_last_n": -1,
        "mirostat": 0,
        "dynatemp_range": 0,
    },
    "LM Studio's clients": {"max_tokens": -1, "ttl": 300, "draft_model": "small", "stop": "", "temperature": 0.7},
    "openai-agents": {"store": True, "verbosity": "low", "extra_headers": None, "metadata": {"trace": 1}},
    "LibreChat": {"user": "u1", "stop": None, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0},
    "LiteLLM": {"user": "u1", "litellm_metadata": {"a": 1}, "mock_response": None, "seed": -1},
    "Vercel's SDK: nulls of everything, a schema with a name": {
        "logit_bias": None,
        "frequency_penalty": None,
        "reasoning_effort": None,
        "tool_choice": None,
        "tools": None,
        "prediction": None,
        "web_search_options": None,
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "strict": True, "schema": _SCHEMA}},
        "max_tokens": 40,
    },
    "LangChain: what it keeps of an answer": {
        "messages": [
            _ASKED,
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "Paris.", "annotations": [], "id": "t1"}],
                "tool_calls": [],
                "refusal": "",
                "audio": None,
            },
            {"role": "user", "content": [{"type": "text", "text": "And of Spain?"}]},
        ],
        "tool_choice": "any",
        "tools": [_TOOL],
        "max_tokens": 60,
    },
    "older clients: functions instead of tools": {
        "messages": [
            _ASKED,
            {"role": "assistant", "content": None, "function_call": {"name": "read", "arguments": '{"path": "a"}'}},
            {"role": "function", "name": "read", "content": "Paris."},
        ],
        "functions": [],
        "function_call": "none",
    },
    "an MCP host: a tool that returned a picture, a result without its call's id": {
        "messages": [
            _ASKED,
            {"role": "assistant", "tool_calls": [{"function": {"name": "read", "arguments": ""}}]},
            {
                "role": "tool",
                "content": [
                    {"type": "text", "text": "A map:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
        ],
        "tools": [{**_TOOL, "cache_control": _CACHED}],
    },
    "an agent whose call was cut by max_tokens": {
        "messages": [
            _ASKED,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{**_CALL, "index": 0, "function": {"name": "read", "arguments": '{"path": "a'}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "error: the arguments are no JSON"},
        ],
        "tools": [_TOOL],
    },
    "an agent whose call had no arguments": {
        "messages": [
            _ASKED,
            {"role": "assistant", "tool_calls": [{**_CALL, "function": {"name": "read", "arguments": "null"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": ""},
        ],
    },
}

_CODEX: Final = {
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "client_metadata": {"session_id": "s", "turn_id": "t"},
}
_NO_ARGUMENTS: Final = {"type": "object", "properties": {}}

RESPONSES: Final[dict[str, dict[str, Any]]] = {
    "Codex: its tools": {
        "instructions": "You are a coding agent.",
        "tools": [
            {"type": "function", "name": "shell", "description": "Runs.", "strict": False, "parameters": _NO_ARGUMENTS},
            {
                "type": "namespace",
                "name": "agents",
                "description": "Others.",
                "tools": [{"type": "function", "name": "wait", "description": "Waits.", "parameters": _NO_ARGUMENTS}],
            },
            {"type": "custom", "name": "patch", "description": "Patches.", "format": {"type": "text"}},
            {"type": "web_search", "external_web_access": False},
            {"type": "image_generation", "output_format": "png"},
        ],
        **_CODEX,
    },
    "Codex: a later turn": {
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": ""},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "shell", "arguments": '{"cmd": '},
            {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "no JSON"},
            {"type": "function_call", "call_id": "c2", "name": "wait", "namespace": "agents", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "none"}]},
            {"type": "custom_tool_call", "call_id": "c3", "name": "patch", "input": "*** Begin Patch"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "Done."},
            {
                "type": "message",
                "role": "assistant",
                "phase": "final",
                "content": [{"type": "output_text", "text": "All done."}],
            },
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
        ],
        **_CODEX,
    },
    "openai-agents": {
        "store": True,
        "text": {"verbosity": "high"},
        "include": ["web_search_call.action.sources", "something.newer"],
        "truncation": "auto",
        "metadata": {"run": 7},
        "service_tier": "flex",
        "reasoning": {"effort": None, "summary": "detailed", "generate_summary": "auto"},
        "max_tool_calls": 3,
        "prompt": None,
        "conversation": None,
    },
    "a newer SDK: fields that nobody here knows": {
        "access_programs": None,
        "image": None,
        "background_options": {"a": 1},
    },
}

MESSAGES: Final[dict[str, dict[str, Any]]] = {
    "Claude Code": {
        "system": [{"type": "text", "text": "You are a coding agent.", "cache_control": _CACHED}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello.", "cache_control": _CACHED}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": ""},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.png"}, "caller": None},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
                        ],
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            },
            {"role": "system", "content": "Other agents: none."},
        ],
        "tools": [{"name": "Read", "description": "Reads.", "input_schema": _SCHEMA, "eager_input_streaming": True}],
        "metadata": {"user_id": '{"device_id": "d", "session_id": "s"}'},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "temperature": 1,
    },
    "an agent that has old results cleared": {
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens"}}]},
        "service_tier": "auto",
    },
    "through a cloud's gateway": {"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["x"]},
    "a newer SDK: nulls that nobody here knows": dict.fromkeys(
        ("speed", "diagnostics", "user_profile_id", "workspace_id")
    ),
    "Vercel's SDK": {"top_k": None, "top_p": None, "stop_sequences": None, "tool_choice": None, "betas": ["x"]},
}
