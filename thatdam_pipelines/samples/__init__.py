"""Generated footage whose content is known, and the tiny model that was trained on it."""
