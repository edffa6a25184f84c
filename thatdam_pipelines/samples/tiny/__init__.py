"""The tiny open_clip model that knows sample scenes and nothing else; README.md beside this says how well."""

from pathlib import Path

CONFIG = Path(__file__).parent / "thatdam-tiny.json"
CHECKPOINT = Path(__file__).parent / "thatdam-tiny.safetensors"
VOCABULARY = Path(__file__).parent / "vocabulary.txt"


def tiny_settings() -> dict[str, object]:
    """Settings that serve the tiny model: ``Settings(**tiny_settings(), home=...)``."""
    return {
        "embedder": f"open_clip:{CONFIG.stem}@{CHECKPOINT}",
        "open_clip_config": CONFIG,
        "vocabulary": VOCABULARY,
    }
