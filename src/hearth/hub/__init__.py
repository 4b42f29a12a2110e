"""Where models come from: a name, a folder, a file or the starter becomes a path on this disk.

The room knows the Hugging Face hub and its cache; it knows nothing of what stands inside a model's files.
It never prints: progress goes to a callback, trouble is a `HearthError`.
"""

from hearth.hub.adapters import resolve_adapter
from hearth.hub.download import complete
from hearth.hub.installed import list_models, remove
from hearth.hub.remote import Remote
from hearth.hub.resolve import canonical_name, installed, preview, pull, resolve
from hearth.hub.types import Inspect, Installed, Progress, ProgressCallback, Source, SourceKind

__all__ = [
    "Inspect",
    "Installed",
    "Progress",
    "ProgressCallback",
    "Remote",
    "Source",
    "SourceKind",
    "canonical_name",
    "complete",
    "installed",
    "list_models",
    "preview",
    "pull",
    "remove",
    "resolve",
    "resolve_adapter",
]
