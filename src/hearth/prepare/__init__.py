"""From a model's name to a bundle that is open: find or download it, compile it or find it compiled, load it.

`bundles.prepare` is the way of all models. What differs from kind to kind is a file here and a row of
`table.PREPARERS`.
"""

from hearth.prepare.bundles import prepare
from hearth.prepare.context import choose_context, choose_room
from hearth.prepare.finding import fetch, inspector, preparer_of
from hearth.prepare.known_answers import known_answers, with_known_answers
from hearth.prepare.loading import open_model, start_loading, start_placed
from hearth.prepare.placement import ON_CPU, Placement, check_device, check_gpu_layers, place
from hearth.prepare.preparer import Preparer, Wanted
from hearth.prepare.progress import Progress, ProgressCallback, compile_progress, hub_progress
from hearth.prepare.table import ANY_KIND, PREPARERS
from hearth.prepare.types import COMPILE_HINT, Opened

__all__ = [
    "ANY_KIND",
    "COMPILE_HINT",
    "ON_CPU",
    "PREPARERS",
    "Opened",
    "Placement",
    "Preparer",
    "Progress",
    "ProgressCallback",
    "Wanted",
    "check_device",
    "check_gpu_layers",
    "choose_context",
    "choose_room",
    "compile_progress",
    "fetch",
    "hub_progress",
    "inspector",
    "known_answers",
    "open_model",
    "place",
    "prepare",
    "preparer_of",
    "start_loading",
    "start_placed",
    "with_known_answers",
]
