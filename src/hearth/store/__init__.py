"""Conversations on disk, in one SQLite file.

The room knows texts, branches and files; it knows nothing of models, prompts or HTTP.
"""

from hearth.store.documents import Document, Passage
from hearth.store.records import Attachment, Content, Conversation, Found, Message, NotFound, Picture, Timings, Usage
from hearth.store.store import Store, default_folder

__all__ = [
    "Attachment",
    "Content",
    "Conversation",
    "Document",
    "Found",
    "Message",
    "NotFound",
    "Passage",
    "Picture",
    "Store",
    "Timings",
    "Usage",
    "default_folder",
]
