"""The compiled artefact on disk: its manifest, the cache it is kept in, writing it all or nothing, opening it checked.

Knows nothing of how a plan is made or run; no TVM. What it writes and reads is described in docs/architecture.md.
"""

from hearth.bundle.costs import COSTS, GPU_COSTS, BatchShape, StepCost, read_costs, write_costs
from hearth.bundle.manifest import (
    ABI_VERSION,
    FORMAT_VERSION,
    GPU_KERNELS,
    GPU_PLAN,
    KNOWN_ANSWERS,
    LIBRARIES,
    PLAN,
    TOKENIZER,
    TOKENIZER_META,
    WASM_LIBRARY,
    WEIGHTS,
    FileEntry,
    InstructionSet,
    Manifest,
    ModelFacts,
    TextFacts,
)
from hearth.bundle.paths import bundle_key, bundle_path, bundles_dir, cache_dir, tuning_dir
from hearth.bundle.reader import Bundle, open_bundle, read_manifest
from hearth.bundle.recall import Memory, memory_of
from hearth.bundle.store import StoredBundle, find_bundle, list_bundles, remove_bundle
from hearth.bundle.trust import mark_compiled_here, require_own_cache, require_trusted
from hearth.bundle.unfinished import Unfinished, clear_unfinished, list_unfinished
from hearth.bundle.writer import BundleWriter, add_file

__all__ = [
    "ABI_VERSION",
    "COSTS",
    "FORMAT_VERSION",
    "GPU_COSTS",
    "GPU_KERNELS",
    "GPU_PLAN",
    "KNOWN_ANSWERS",
    "LIBRARIES",
    "PLAN",
    "TOKENIZER",
    "TOKENIZER_META",
    "WASM_LIBRARY",
    "WEIGHTS",
    "BatchShape",
    "Bundle",
    "BundleWriter",
    "FileEntry",
    "InstructionSet",
    "Manifest",
    "Memory",
    "ModelFacts",
    "StepCost",
    "StoredBundle",
    "TextFacts",
    "Unfinished",
    "add_file",
    "bundle_key",
    "bundle_path",
    "bundles_dir",
    "cache_dir",
    "clear_unfinished",
    "find_bundle",
    "list_bundles",
    "list_unfinished",
    "mark_compiled_here",
    "memory_of",
    "open_bundle",
    "read_costs",
    "read_manifest",
    "remove_bundle",
    "require_own_cache",
    "require_trusted",
    "tuning_dir",
    "write_costs",
]
