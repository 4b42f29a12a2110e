"""A model with a thread of its own, for programs of coroutines: what a server and `AsyncLLM` are made of."""

from hearth.worker.inbox import Busy, Closing
from hearth.worker.worker import ModelBroken, Stream, Worker

__all__ = ["Busy", "Closing", "ModelBroken", "Stream", "Worker"]
