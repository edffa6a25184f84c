"""Where things are kept: files, facts, mutable state, vectors and text."""
