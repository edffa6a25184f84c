"""What an embedder is, and how the one that serves is chosen from the settings."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.errors import ModelError, SettingsError
from thatdam_pipelines.settings import Settings

Frames = Sequence[npt.NDArray[np.uint8]]
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Turns pictures, and where it can text, into unit-length vectors of one space.

    Making one is cheap: no torch, no weights. Weights load on the first vector asked for, once.
    """

    @property
    def name(self) -> str:
        """What serves, as a setting would name it: ``descriptor``, ``open_clip:<model>@<weights>``."""
        ...

    @property
    def space(self) -> str:
        """Model, weights and version. Vectors of different spaces are never compared."""
        ...

    @property
    def note(self) -> str:
        """One sentence for people: what serves, why, and what it cannot do."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def input_size(self) -> int:
        """Side in pixels of the square the model sees: decode frames with their short edge scaled to it."""
        ...

    @property
    def has_text(self) -> bool:
        """Whether ``embed_text`` works: text and pictures then share the space."""
        ...

    def embed_images(self, frames: Frames) -> Vectors:
        """Vectors of pictures.

        Args:
            frames: RGB arrays ``[height, width, 3]`` uint8 of any aspect, short edge scaled to ``input_size``.

        Returns:
            float32 ``[len(frames), dimensions]``, each row of unit length.

        Raises:
            ModelError: The weights cannot be had or loaded, or a vector is not finite.
        """
        ...

    def embed_text(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, as ``embed_images`` gives them.

        Raises:
            ModelError: The embedder has no text side, or as for ``embed_images``.
        """
        ...


def open_embedder(settings: Settings) -> Embedder:
    """The embedder that ``settings.embedder`` names. The same settings give the same object, so weights load once.

    Raises:
        SettingsError: ``embedder`` is not ``auto``, ``descriptor`` or ``open_clip:<model>[@<pretrained>]``.
        ModelError: The model is named but no weights, or a file that is not there.
    """
    return _open(
        settings.embedder.strip(),
        settings.open_clip_model,
        settings.open_clip_pretrained,
        settings.open_clip_config,
        settings.device,
        settings.precision,
        settings.embed_batch,
    )


@lru_cache(maxsize=4)
def _open(
    choice: str, model: str, pretrained: str, config: Path | None, device: str, precision: str, batch: int
) -> Any:
    from thatdam_pipelines.embed import auto, descriptor, open_clip_embedder

    if choice == "descriptor":
        return descriptor.DescriptorEmbedder()
    if choice == "auto":
        serving = open_clip_embedder.OpenClipEmbedder(model, pretrained, config, device, precision, batch)
        return auto.resolve(serving)
    kind, _, named = choice.partition(":")
    if kind != "open_clip" or not named:
        raise SettingsError(
            f"THATDAM_EMBEDDER={choice}",
            "there is no such embedder",
            "Use auto, descriptor or open_clip:<model>[@<weights>], for example open_clip:ViT-B-32@laion2b_s34b_b79k.",
        )
    named_model, _, named_pretrained = named.partition("@")
    if not named_pretrained and named_model == model:
        named_pretrained = pretrained
    return open_clip_embedder.OpenClipEmbedder(named_model, named_pretrained, config, device, precision, batch)


def checked(vectors: npt.NDArray[Any], name: str) -> Vectors:
    """Rows scaled to unit length as float32.

    Raises:
        ModelError: A value is not finite, or a row is zero.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ModelError(
            name,
            "it gave a vector that is not finite or has no length",
            "Use THATDAM_PRECISION=fp32, or other weights: these may be damaged.",
        )
    return (vectors / lengths).astype(np.float32)
