"""Machine code for CPUs: kernels and which of them computes what, instruction sets, tuning, the linked library."""
