"""The compiler's half for GPUs: WGSL kernels and their selection."""
