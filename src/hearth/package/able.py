"""What a page can run. Asked of a model's files before any of it is compiled, and of a bundle that somebody brings.

The one place for that: whatever else a page turns out not to do is one more question here.
"""

from __future__ import annotations

from hearth.bundle import TOKENIZER, Bundle
from hearth.checkpoint.embedding import load_embedding
from hearth.checkpoint.types import Checkpoint
from hearth.errors import BundleMismatch, TokenizerMissing, Unsupported
from hearth.model import load_family


def require_page(name: str, checkpoint: Checkpoint) -> None:
    """Refuses a language model of which no page could be made, by what its files say; reads headers only.

    Raises:
        TokenizerMissing: it has no tokenizer.
        Unsupported: it writes no text. As `load_family`: it cannot be compiled at all.
        CorruptFile: a file is damaged.
    """
    _require(name, has_tokenizer=checkpoint.tokenizer() is not None, writes=not load_family(checkpoint).no_head)


def require_page_of(bundle: Bundle) -> None:
    """The same of a bundle.

    Raises: as `require_page`.
        BundleMismatch: it is for another machine.
        Unsupported: it is no language model.
    """
    made = bundle.manifest
    embedding = load_embedding(bundle.path)
    if made.target != "wasm32":
        raise BundleMismatch(
            f"The bundle of {made.source_name} is for {made.target}.",
            why="A page runs WebAssembly.",
            hint="Name the model that it was made of, or compile that with --target wasm32.",
        )
    _ = made.language  # refuses what is none
    writes = embedding is None or not embedding.no_head
    _require(made.source_name, has_tokenizer=TOKENIZER in made.files, writes=writes)


def _require(name: str, *, has_tokenizer: bool, writes: bool) -> None:
    if not writes:
        raise Unsupported(
            f"{name} makes vectors and writes no text, which is what a page is for.",
            hint="Compute vectors here: hearth embed.",
        )
    if not has_tokenizer:
        raise TokenizerMissing(f"{name} came without a tokenizer.", hint="A page for it could not read what is typed.")
