"""Which format each parameter of a model gets: the defaults, and what `--quant` and `--head` change.

1. Norms and biases are f32, always: they are small and everything depends on them.
2. A GGUF file keeps the type of each of its tensors unless `--quant` is given; so do weights of a folder that were
   published in one of our block formats.
3. Anything else becomes q4 unless `--quant` is given.
4. Embedding and head get `--head`; without it q8 where the body was asked (or defaulted) to 4 bits, since they decide
   which word comes out, and the body's format otherwise. A GGUF tensor that is already stored in 8 bits or fewer then
   stays as it is: rounding it again would only add error.
"""

from __future__ import annotations

from typing import Literal

from hearth.checkpoint.types import SourceKind
from hearth.errors import Unsupported, UsageError
from hearth.quant.formats import FORMATS, Format

USER_FORMATS = ("f32", "f16", "q8", "q4", "q4a")
"""What `--quant` and `--head` accept."""
BODY_FORMATS = (*USER_FORMATS, "int8")
"""What `--quant` accepts: also bytes with one scale for each row of a weight, whose products are the fastest."""
_NAMES = {"int8": "i8"}
Precision = Literal["default", "high", "fast"]
"""How products are computed: with 8-bit activations in groups; with 32-bit floats; with one scale for each token and
weight row where there are many tokens, as in prompts and encoders."""
ACTIVATIONS: dict[str, str] = {"default": "int8", "high": "high", "fast": "fast"}
"""What manifests call a precision."""
DEFAULT_QUANT = "q4"
DEFAULT_HEAD = "q8"

Role = Literal["body", "experts", "head", "small", "exact"]


def choose_format(
    parameter: str,
    role: Role,
    source_dtype: str,
    kind: SourceKind,
    quant: str | None = None,
    head: str | None = None,
    *,
    default: str = DEFAULT_QUANT,
) -> Format:
    """The format for a parameter.

    Args:
        parameter: its name, for errors.
        role: a matrix of the body or of experts; embedding or head; or what is always f32 (see `model.network.Role`).
        source_dtype: the type of the checkpoint tensor it comes from.
        kind: kind of checkpoint.
        quant: the user's choice for the body; None: the default.
        head: the user's choice for embedding and head; None: the default.
        default: of a folder's body where the user has no choice.

    Raises:
        UsageError: `quant` or `head` is no format that a user may choose.
        Unsupported: the tensor has a type that is not known.
    """
    for option, value, choices in (("--quant", quant, BODY_FORMATS), ("--head", head, USER_FORMATS)):
        if value is not None and value not in choices:
            raise UsageError(f"{option} {value} is not a format.", hint=f"Choose one of: {', '.join(choices)}.")
    if source_dtype not in FORMATS:
        raise Unsupported(f"'{parameter}' has tensor type '{source_dtype}'.", hint=f"Known: {', '.join(FORMATS)}.")
    source = FORMATS[source_dtype]
    if role == "head":
        return _embedding_format(source, kind, quant, head, default)
    if role in ("small", "exact"):
        return FORMATS["f32"]
    if quant is not None:
        fmt = FORMATS[format_name(quant)]
        # Few tokens meet one expert, too few for products that pay with many rows.
        return FORMATS[DEFAULT_HEAD] if role == "experts" and fmt.is_row else fmt
    return source if kind == "gguf" or not source.is_float else FORMATS[format_name(default)]


def row_choice(quant: str | None, precision: Precision) -> tuple[str | None, Precision]:
    """Number format and precision of a model all of whose products have many rows: there `fast` means the format with
    one scale for each weight row, and nothing else.

    Raises:
        UsageError: fast in another format.
    """
    if precision != "fast":
        return quant, precision
    if quant not in (None, "int8"):
        raise UsageError(
            f"precision=fast computes this model in the number format int8, not in {quant}.",
            hint="Leave --quant out, or --precision.",
        )
    return "int8", "default"


def format_name(option: str) -> str:
    """The number format that `--quant` means by a name."""
    return _NAMES.get(option, option)


def _embedding_format(source: Format, kind: str, quant: str | None, head: str | None, default: str) -> Format:
    if head is not None:
        return FORMATS[head]
    if quant is None and (kind == "gguf" or not source.is_float):
        return source
    body = FORMATS[format_name(quant or default)]
    if body.is_row:  # products add up whole rows of it; what is looked up row by row has scales of its own
        return FORMATS[DEFAULT_HEAD]
    if body.bits != 4:
        return body
    already_small = not source.is_float and source.bits <= FORMATS[DEFAULT_HEAD].bits
    return source if already_small else FORMATS[DEFAULT_HEAD]


def shared_format(formats: list[Format]) -> Format | None:
    """The format for a weight that joins several parameters (q, k, v), or None where their layouts differ.

    GGUF mixtures such as Q4_K_M store v in other blocks than q and k: those stay separate weights.
    """
    same = len({fmt.kernel_layout for fmt in formats}) == 1
    return formats[0] if same else None
