"""Any model and weights that open_clip can load, as an embedder."""

import contextlib
import json
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thatdam_pipelines.embed import hub
from thatdam_pipelines.embed.embedder import Frames, Vectors, checked
from thatdam_pipelines.embed.preprocess import Preprocess
from thatdam_pipelines.embed.weights import HUB_PREFIX, Weights
from thatdam_pipelines.errors import ModelError, SettingsError

_TEXTS_AT_ONCE = 64
# What open_clip and torch raise when a checkpoint is not there, not whole, or not of this model.
_CANNOT_LOAD = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    preprocess: Preprocess
    device: Any
    dtype: Any


class OpenClipEmbedder:
    """An open_clip model. Making one reads no weights and imports no torch.

    Args:
        model: See ``Weights``.
        pretrained: See ``Weights``.
        config: See ``Weights``.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        precision: ``auto`` (fp32 on a CPU, fp16 on CUDA), ``fp32``, ``bf16`` or ``fp16`` (CUDA only).
        batch: Pictures embedded at once.

    Raises:
        ModelError: See ``Weights``.
    """

    has_text = True

    def __init__(
        self,
        model: str,
        pretrained: str,
        config: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch: int = 32,
    ) -> None:
        schema = ":" in model
        self.weights = Weights(model if schema else model.replace("/", "-"), pretrained, config)
        self.name = f"open_clip:{model}@{pretrained}" if pretrained else f"open_clip:{model}"
        self.note = f"open_clip {self.weights.label} serves."
        self._device = device
        self._precision = precision
        self._batch = batch
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()

    @property
    def space(self) -> str:
        return self.weights.space

    @property
    def dimensions(self) -> int:
        return int(self._model_config()["embed_dim"])

    @property
    def input_size(self) -> int:
        vision = self._model_config()["vision_cfg"]
        size = vision.get("image_size", 224)
        return size if isinstance(size, int) else max(size)

    def embed_images(self, frames: Frames) -> Vectors:
        import torch

        loaded = self._load()
        rows = []
        for start in range(0, len(frames), self._batch):
            pictures = torch.stack([loaded.preprocess(frame) for frame in frames[start : start + self._batch]])
            with torch.inference_mode():
                inputs = loaded.preprocess.normalise(pictures.to(loaded.device)).to(loaded.dtype)
                rows.append(loaded.model.encode_image(inputs).float().cpu().numpy())
        return self._checked(rows)

    def embed_text(self, texts: Sequence[str]) -> Vectors:
        import torch

        loaded = self._load()
        rows = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = loaded.tokenizer([prompt(text) for text in texts[start : start + _TEXTS_AT_ONCE]])
            with torch.inference_mode():
                rows.append(_encode_text(loaded.model, tokens.to(loaded.device)).float().cpu().numpy())
        return self._checked(rows)

    def _checked(self, rows: list[Any]) -> Vectors:
        if not rows:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return checked(np.concatenate(rows), self.name)

    def _model_config(self) -> dict[str, Any]:
        if self.weights.model.startswith(HUB_PREFIX):
            self._load()
        return self.weights.model_config

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load_now()
            return self._loaded

    def _load_now(self) -> _Loaded:
        import open_clip
        import torch

        device = self._device if self._device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        if device == "cuda" and not torch.cuda.is_available():
            raise SettingsError("THATDAM_DEVICE=cuda", "torch sees no CUDA device", "Use auto or cpu.")
        precision = self._precision if self._precision != "auto" else ("fp16" if device == "cuda" else "fp32")
        if device == "cpu" and precision == "fp16":
            raise SettingsError("THATDAM_PRECISION=fp16", "a CPU cannot compute it", "Use auto, fp32 or bf16.")
        cached = self._check_hub()
        with hub.only_cached() if cached else contextlib.nullcontext():
            model = self._create(device, precision)
            tokenizer = self._tokenizer()
        return _Loaded(
            model=model.eval(),
            tokenizer=tokenizer,
            preprocess=Preprocess(open_clip.get_model_preprocess_cfg(model)),
            device=torch.device(device),
            dtype=open_clip.get_input_dtype(precision) or torch.float32,
        )

    def _check_hub(self) -> bool:
        """True when everything that comes from the hub is in its local cache already.

        Raises:
            ModelError: Something is not cached and the hub does not answer.
        """
        found = {repository: hub.availability(repository) for repository in self.weights.repositories()}
        for repository, where in found.items():
            if where.state == "missing":
                raise ModelError(
                    self.name,
                    f"{repository.repo_id} is not on this machine and {where.reason}",
                    "Connect and try again, name a local checkpoint file, or set THATDAM_EMBEDDER=descriptor.",
                )
        return all(where.state == "cached" for where in found.values())

    def _create(self, device: str, precision: str) -> Any:
        import open_clip
        from safetensors import SafetensorError

        weights = self.weights
        if weights.custom_config is not None:
            open_clip.add_model_config(weights.custom_config)
        pretrained, preprocess = weights.pretrained or None, None
        try:
            if weights.checkpoint is not None:
                pretrained, preprocess = str(weights.checkpoint), _preprocess_of_tags(weights.model)
            elif weights.pretrained.startswith(HUB_PREFIX):
                pretrained, preprocess = _from_repository(weights.pretrained.removeprefix(HUB_PREFIX))
            return open_clip.create_model(
                weights.model,
                pretrained=pretrained,
                precision=precision,
                device=device,
                require_pretrained=True,
                force_preprocess_cfg=preprocess,
                pretrained_text=False,
            )
        except pickle.UnpicklingError as error:
            raise ModelError(
                pretrained or self.name,
                "it holds more than weights, or is damaged, and is not loaded",
                "Convert it to safetensors where you trust it, or get it again.",
            ) from error
        except SafetensorError as error:
            raise ModelError(pretrained or self.name, f"it is damaged ({error})", "Get the file again.") from error
        except _CANNOT_LOAD as error:
            raise ModelError(
                self.name,
                f"its weights cannot be loaded: {_in_short(error)}",
                "Check that the checkpoint was made with this model and configuration, and is whole.",
            ) from error

    def _tokenizer(self) -> Any:
        import open_clip

        try:
            return open_clip.get_tokenizer(self.weights.model)
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                self.name, f"its tokenizer cannot be loaded: {_in_short(error)}", "Check text_cfg of the model."
            ) from error


def _encode_text(model: Any, tokens: Any) -> Any:
    """Text vectors ``[n, dimensions]`` of token ids ``[n, context]``; padding that cannot count is not computed.

    The text side of plain CLIP lets no token see a later one and reads the answer off the end-of-text token (Radford
    et al., ICML 2021, section 2.4), so what is behind the longest text changes nothing but the time it takes. Other
    text sides, SigLIP's among them, see their padding and get all of it.
    """
    import open_clip
    import torch

    if not (isinstance(model, open_clip.CLIP) and model.attn_mask is not None and model.text_pool_type == "argmax"):
        return model.encode_text(tokens)
    length = int((tokens != 0).any(dim=0).nonzero().max()) + 1
    shorter = {
        "positional_embedding": model.positional_embedding[:length],
        "attn_mask": model.attn_mask[:length, :length],
    }
    return torch.func.functional_call(model, shorter, kwargs={"text": tokens[:, :length]})[1]


def prompt(text: str) -> str:
    """The text a model is asked with: a bare word or two is put as a caption, which models of this kind know better.

    Source: Radford et al., "Learning transferable visual models from natural language
    supervision", ICML 2021, section 3.1.4.
    """
    text = " ".join(text.split())
    return f"a photo of {text}" if 0 < len(text.split()) <= 2 else text


def _preprocess_of_tags(model: str) -> dict[str, Any] | None:
    """Preprocess configuration that all published weights of a model share: a fine-tuned file of it has the same."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    keys = ("mean", "std", "interpolation", "resize_mode")
    found = [get_pretrained_cfg(model, tag) for tag in list_pretrained_tags_by_model(model)]
    shared = [{key: tag[key] for key in keys if key in tag} for tag in found]
    return shared[0] if shared and all(tag == shared[0] for tag in shared) else None


def _from_repository(repo_id: str) -> tuple[str, dict[str, Any] | None]:
    """Weights file of a hub repository and the preprocess configuration published with it."""
    from open_clip.pretrained import download_pretrained_from_hf

    weights = str(download_pretrained_from_hf(repo_id))
    config = json.loads(Path(download_pretrained_from_hf(repo_id, "open_clip_config.json")).read_text("utf-8"))
    return weights, config.get("preprocess_cfg")


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
