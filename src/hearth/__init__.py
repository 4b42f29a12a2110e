"""Hearth: on-device AI. Compile any language model for the machine at hand and run it there.

from hearth import LLM
with LLM("starter") as llm:
    for chunk in llm.chat([{"role": "user", "content": "Hello!"}], stream=True):
        print(chunk.text, end="")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hearth.async_llm import AsyncAnswerStream, AsyncLLM
    from hearth.chat.answer import Chunk, Completion
    from hearth.chat.answer_stream import AnswerStream
    from hearth.chat.conversation import Conversation, Message
    from hearth.chat.many import SomeFailed
    from hearth.embedder import Embedder
    from hearth.errors import HearthError
    from hearth.graph import Graph, compile
    from hearth.llm import LLM
    from hearth.vision import Vision

__version__: str
# Imported when first used: `hearth --help` and `import hearth.errors` shall not wait for numpy.
_HOMES = {
    "LLM": "hearth.llm",
    "AnswerStream": "hearth.chat.answer_stream",
    "AsyncAnswerStream": "hearth.async_llm",
    "AsyncLLM": "hearth.async_llm",
    "Chunk": "hearth.chat.answer",
    "Completion": "hearth.chat.answer",
    "Conversation": "hearth.chat.conversation",
    "Embedder": "hearth.embedder",
    "Message": "hearth.chat.conversation",
    "Graph": "hearth.graph",
    "HearthError": "hearth.errors",
    "SomeFailed": "hearth.chat.many",
    "Vision": "hearth.vision",
    "compile": "hearth.graph",
}
__all__ = [
    "LLM",
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncLLM",
    "Chunk",
    "Completion",
    "Conversation",
    "Embedder",
    "Graph",
    "HearthError",
    "Message",
    "SomeFailed",
    "Vision",
    "__version__",
    "compile",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from hearth.distribution import version

        return version()
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hearth' has no attribute {name!r}")
