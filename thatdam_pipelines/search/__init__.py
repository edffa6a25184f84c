"""One question in, ranked moments with reasons out."""
