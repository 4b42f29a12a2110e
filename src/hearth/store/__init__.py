"""Conversations on disk, in one SQLite file.

The room knows texts, branches and files; it knows nothing of models, prompts or HTTP.
"""

from hearth.store.documents import Document, Passage
from hearth.store.records import Attachment, Conversation, Found, Message, NotFound, Timings, Usage
from hearth.store.store import Store, default_folder

__all__ = [
    "Attachment",
    "Conversation",
    "Document",
    "Found",
    "Message",
    "NotFound",
    "Passage",
    "Store",
    "Timings",
    "Usage",
    "default_folder",
]
