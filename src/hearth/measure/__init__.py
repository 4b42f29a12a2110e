"""Measures speed (`bench`; kernel by kernel: `profile`, `draw_roofline`), quality (`perplexity`, `compare`;
of pictures `compare_vision`), a model's size (`describe`), this machine (`diagnose`).

Returns numbers; it never prints.
"""

from hearth.measure.bench import BenchResult, Decode, MemoryRead, Prefill, Spread, bench
from hearth.measure.describe import describe
from hearth.measure.describe_remote import RemoteDescription, RemoteFileLine, describe_remote
from hearth.measure.description import Description, EncoderDescription, TextDescription, VisionDescription
from hearth.measure.doctor import Diagnosis, Finding, diagnose
from hearth.measure.labelled import Labelled, labelled_pictures
from hearth.measure.profile import KernelProfile, PhaseProfile, Profile, profile
from hearth.measure.quality import Comparison, Perplexity, compare, perplexity
from hearth.measure.roofline import draw_roofline
from hearth.measure.vision_quality import VisionComparison, VisionQuality, compare_vision

__all__ = [
    "BenchResult",
    "Comparison",
    "Decode",
    "Description",
    "Diagnosis",
    "EncoderDescription",
    "Finding",
    "KernelProfile",
    "Labelled",
    "MemoryRead",
    "Perplexity",
    "PhaseProfile",
    "Prefill",
    "Profile",
    "RemoteDescription",
    "RemoteFileLine",
    "Spread",
    "TextDescription",
    "VisionComparison",
    "VisionDescription",
    "VisionQuality",
    "bench",
    "compare",
    "compare_vision",
    "describe",
    "describe_remote",
    "diagnose",
    "draw_roofline",
    "labelled_pictures",
    "perplexity",
    "profile",
]
