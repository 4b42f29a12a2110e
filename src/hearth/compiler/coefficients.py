"""Polynomials that kernels of all devices compute functions by, highest power first."""

TAIL_N = (0.00400746101513505, 0.03991233929991722, 0.18111446499824524, 0.43545955419540405, 0.5)
TAIL_D = (
    0.010045072995126247, 0.10005275160074234, 0.46386653184890747, 1.193738341331482, 1.6688039302825928, 1.0,
)  # fmt: skip
"""exp(a^2 / 2) times the normal distribution's tail beyond a is N(a) / D(a) on [0, 13.5], to 6e-9: our own minimax
fit."""
TAIL_END = 14.0
"""Beyond this the tail is nothing in f32."""
