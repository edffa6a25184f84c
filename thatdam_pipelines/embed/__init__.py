"""Embedders, and the L0 to L2 computations that use them."""
