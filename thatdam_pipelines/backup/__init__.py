"""Keeping footage safe: verified offload of cards, ASC MHL histories, and what proves that a copy is a copy."""
