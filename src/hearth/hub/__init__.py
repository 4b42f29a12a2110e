"""Where models come from: a name, a folder, a file or the starter becomes a path on this disk.

The room knows the Hugging Face hub and its cache; it knows nothing of what stands inside a model's files.
It never prints: progress goes to a callback, trouble is a `HearthError`.
"""

from hearth.hub.installed import list_models, remove
from hearth.hub.resolve import pull, resolve
from hearth.hub.types import Installed, Progress, ProgressCallback, Source, SourceKind

__all__ = [
    "Installed",
    "Progress",
    "ProgressCallback",
    "Source",
    "SourceKind",
    "list_models",
    "pull",
    "remove",
    "resolve",
]
