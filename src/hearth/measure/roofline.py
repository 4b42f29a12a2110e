"""The roofline picture of a profile: operations a second over operations a byte, under the roofs that were measured.

A kernel's point lies under the slope where the memory binds it and under a level roof where arithmetic does; how far
below says what is left. matplotlib is the extra `plot`, imported only here and only when a picture is drawn.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hearth.bundle.failures import storage_errors
from hearth.distribution import install_command
from hearth.errors import UsageError
from hearth.measure.profile import KernelProfile, PhaseProfile, Profile

SUFFIXES = (".svg", ".png")
_COLOURS = {"prefill": "#c2571a", "decode": "#1f5fa8"}
_ROOF, _TEXT, _GRID = "#444444", "#222222", "#e4e4e4"
_LEAST_SHARE = 0.002
"""Kernels that take less of their phase's time are left out: their points say nothing, and crowd the others."""


def check_can_draw(path: Path) -> None:
    """Raises UsageError where `draw_roofline` would: before anything is measured for it."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is no name for a picture.", hint=f"It must end in {' or '.join(SUFFIXES)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("A picture is drawn with matplotlib, which is not installed.", hint=install_command("plot"))


def draw_roofline(profile: Profile, path: Path) -> None:
    """Draws the roofline picture to an SVG or PNG file.

    Raises:
        UsageError: the name ends otherwise, or matplotlib is not installed.
        StorageError: the file cannot be written.
    """
    check_can_draw(path)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [
        _Point(phase, kernel)
        for phase in profile.phases
        for kernel in phase.kernels
        if kernel.mops > 0 and kernel.share >= _LEAST_SHARE
    ]
    figure = Figure(figsize=(10, 6.4), dpi=150, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    _frame(axes, profile, points)
    _roofs(axes, profile)
    for name, colour in _COLOURS.items():
        mine = [p for p in points if p.phase.name == name]
        axes.scatter(
            [p.kernel.intensity for p in mine],
            [p.kernel.gop_s for p in mine],
            s=[p.area for p in mine],
            color=colour,
            alpha=0.75,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
            label=_phase_label(next(p for p in profile.phases if p.name == name)),
        )
    legend = axes.legend(loc="lower right", frameon=True, edgecolor=_GRID, fontsize=9, title="area: share of the time")
    legend.get_title().set_fontsize(8)
    for handle in legend.legend_handles:
        handle.set_sizes([60])
    canvas.draw()  # sizes of texts are known from here on
    _label(axes, canvas.get_renderer(), points, [legend])
    with storage_errors("write", path), mpl.rc_context({"svg.hashsalt": "hearth"}):  # the same picture, the same file
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, facecolor="white", metadata=metadata)


@dataclass(frozen=True)
class _Point:
    phase: PhaseProfile
    kernel: KernelProfile

    @property
    def area(self) -> float:
        """Points squared; what takes a tenth of the time is plain to see, what takes a thousandth still there."""
        return 12 + 500 * self.kernel.share

    def text(self, others: list[_Point]) -> str:
        """The role, and the kernel where two have one role in a phase."""
        alike = [o for o in others if o.phase is self.phase and o.kernel.role == self.kernel.role]
        if len(alike) == 1:
            return self.kernel.role
        words = [set(o.kernel.kernel.split("_")) for o in alike]
        own = [w for w in self.kernel.kernel.split("_") if any(w not in other for other in words)]
        return f"{self.kernel.role} ({' '.join(own[:2]) or self.kernel.kernel})"


def _phase_label(phase: PhaseProfile) -> str:
    if phase.name == "prefill":
        return f"prefill, {phase.tokens} tokens: {phase.time_us / 1e3:.0f} ms"
    batch = f", {phase.tokens} sequences" if phase.tokens > 1 else ""
    return f"decode after {phase.context} tokens{batch}: {phase.time_us / 1e3:.1f} ms a step"


def _frame(axes: Any, profile: Profile, points: list[_Point]) -> None:
    limits = profile.limits
    ridge = max(limits.int8_gop_s, limits.float32_gop_s) / limits.read_gb_s
    xs = [p.kernel.intensity for p in points] + [ridge]
    ys = [p.kernel.gop_s for p in points] + [limits.int8_gop_s, limits.float32_gop_s]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(xs) / 2, max(xs) * 4)
    axes.set_ylim(min(ys) / 2, max(ys) * 2.2)
    axes.grid(which="major", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_TEXT, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("operations a byte moved", color=_TEXT)
    axes.set_ylabel("10⁹ operations a second", color=_TEXT)
    threads = f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    formats = profile.quant if profile.quant == profile.head else f"{profile.quant}, head {profile.head}"
    name = Path(profile.model).name or profile.model
    axes.set_title(f"{name} ({formats}), {profile.isa}, {threads}", color=_TEXT, fontsize=12, loc="left", pad=12)


def _roofs(axes: Any, profile: Profile) -> None:
    limits = profile.limits
    (left, right), bottom = axes.get_xlim(), axes.get_ylim()[0]
    highest = max(limits.int8_gop_s, limits.float32_gop_s)
    start = max(left, bottom / limits.read_gb_s)
    ridge = highest / limits.read_gb_s
    axes.plot([start, ridge], [start * limits.read_gb_s, highest], color=_ROOF, linewidth=1.6, zorder=2)
    for value, name, style in (
        (limits.int8_gop_s, "int8 products", "-"),
        (limits.float32_gop_s, "f32 multiply-adds", "--"),
    ):
        axes.plot([value / limits.read_gb_s, right], [value, value], color=_ROOF, linewidth=1.6, ls=style, zorder=2)
        axes.text(right / 1.05, value * 1.04, f"{name}: {value:.0f} Gop/s", ha="right", va="bottom", fontsize=9)
    # Along the slope, whose angle on the screen follows from where two of its points are.
    low, high = axes.transData.transform([(start, start * limits.read_gb_s), (ridge, highest)])
    angle = math.degrees(math.atan2(high[1] - low[1], high[0] - low[0]))
    middle = (start * ridge**2) ** (1 / 3)
    axes.text(
        middle, middle * limits.read_gb_s * 1.12, f"memory read: {limits.read_gb_s:.1f} GB/s",
        ha="center", va="bottom", fontsize=9, rotation=angle, rotation_mode="anchor",
    )  # fmt: skip


def _label(axes: Any, renderer: Any, points: list[_Point], keep_clear: list[Any]) -> None:
    """Writes each point's name beside it, where it covers nothing: nearest place first, most important point first."""
    taken = [artist.get_window_extent(renderer) for artist in (*keep_clear, *axes.texts)]
    roofs = [at for line in axes.lines for at in _along(axes.transData.transform(line.get_xydata()))]
    scale = renderer.points_to_pixels(1.0)
    centres = {id(p): axes.transData.transform((p.kernel.intensity, p.kernel.gop_s)) for p in points}
    frame = axes.get_window_extent(renderer)
    for point in sorted(points, key=lambda p: -p.kernel.share):
        x, y = centres[id(point)]
        radius = (point.area**0.5 / 2 + 2) * scale
        best: tuple[float, Any] | None = None
        for distance, (dx, dy) in product((1.0, 2.2, 3.6, 5.2, 7.0), _DIRECTIONS):
            far = radius + (distance - 1) * 9 * scale
            at = ((x + dx * far), (y + dy * far))
            text = axes.text(
                *axes.transData.inverted().transform(at), point.text(points), fontsize=8.5, zorder=4,
                color=_COLOURS[point.phase.name], ha=_align(dx, "left", "right"), va=_align(dy, "bottom", "top"),
            )  # fmt: skip
            box = text.get_window_extent(renderer).padded(1.5 * scale)
            cost = sum(_overlap(box, other) for other in taken)
            cost += sum(60 * scale for c in centres.values() if box.contains(*c))
            cost += sum(3 * scale for c in roofs if box.contains(*c))
            cost += 0 if frame.containsx(box.x0) and frame.containsx(box.x1) else 1e4
            cost += 0 if frame.containsy(box.y0) and frame.containsy(box.y1) else 1e4
            cost += distance * 0.5 * scale
            if best is None or cost < best[0]:
                if best is not None:
                    best[1].remove()
                best = (cost, text)
            else:
                text.remove()
        assert best is not None
        text = best[1]
        box = text.get_window_extent(renderer)
        taken.append(box)
        _lead(axes, (x, y), box, radius, _COLOURS[point.phase.name])


_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7))


def _along(ends: Any) -> list[tuple[float, float]]:
    """Places along a line from its first to its last point, near enough to each other that no text fits between."""
    (x0, y0), (x1, y1) = ends
    return [(x0 + (x1 - x0) * i / 200, y0 + (y1 - y0) * i / 200) for i in range(201)]


def _align(direction: float, positive: str, negative: str) -> str:
    return "center" if direction == 0 else positive if direction > 0 else negative


def _overlap(a: Any, b: Any) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0


def _lead(axes: Any, centre: tuple[float, float], box: Any, radius: float, colour: str) -> None:
    """A thin line from a point to a name that could not stand right beside it."""
    near = (min(max(centre[0], box.x0), box.x1), min(max(centre[1], box.y0), box.y1))
    gap = ((near[0] - centre[0]) ** 2 + (near[1] - centre[1]) ** 2) ** 0.5
    if gap > radius * 1.6:
        (x0, y0), (x1, y1) = axes.transData.inverted().transform([centre, near])
        axes.plot([x0, x1], [y0, y1], color=colour, linewidth=0.6, alpha=0.6, zorder=2.5)
