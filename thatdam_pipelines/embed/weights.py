"""Which open_clip model with which weights: named, fingerprinted and found without importing torch."""

import difflib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from blake3 import blake3

from thatdam_pipelines.embed.hub import Repository
from thatdam_pipelines.errors import ModelError

HUB_PREFIX = "hf-hub:"
FOLDER_PREFIX = "local-dir:"
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".npz"}
# What open_clip itself looks for in a repository, in its order.
_HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class Weights:
    """A model and the weights it gets, as the settings name them.

    Args:
        model: Name open_clip knows, stem of ``config``, ``hf-hub:<repository>`` or ``local-dir:<folder>``.
        pretrained: Tag, ``hf-hub:<repository>`` or checkpoint file; empty when ``model`` brings its weights.
        config: Custom open_clip model configuration (JSON); its stem is the name of the model it defines.

    Raises:
        ModelError: The model is unknown, no weights are named, or a file is not there.
    """

    model: str
    pretrained: str
    config: Path | None = None

    def __post_init__(self) -> None:
        if self.config is not None and not self.config.is_file():
            raise ModelError(self.config, "this model configuration is not there", "Mend THATDAM_OPEN_CLIP_CONFIG.")
        if self.model.startswith(HUB_PREFIX):
            return
        if self.folder is not None:
            if not (self.folder / "open_clip_config.json").is_file():
                raise ModelError(self.folder, "there is no open_clip_config.json in it", "Name a folder that has one.")
            return
        if self._config_path is None:
            names = sorted(path.stem for path in _builtin_configs().glob("*.json"))
            near = difflib.get_close_matches(self.model, names, n=3, cutoff=0.5)
            also = f", {self.config} defines {self.config.stem}" if self.config else ""
            raise ModelError(
                f"open_clip:{self.model}",
                f"open_clip has no model of this name{also}",
                f"Use {' or '.join(near) or 'one of open_clip.list_models()'}, or set THATDAM_OPEN_CLIP_CONFIG.",
            )
        if not self.pretrained:
            raise ModelError(
                f"open_clip:{self.model}",
                "it names no weights",
                f"Write open_clip:{self.model}@<tag>, a tag of open_clip.list_pretrained(), or @<checkpoint file>.",
            )
        looks_like_file = "/" in self.pretrained or Path(self.pretrained).suffix in _WEIGHT_SUFFIXES
        if looks_like_file and not self.pretrained.startswith(HUB_PREFIX) and self.checkpoint is None:
            raise ModelError(self.pretrained, "this checkpoint file is not there", "Mend the path in the setting.")

    @property
    def folder(self) -> Path | None:
        """Folder that holds configuration and weights, for a ``local-dir:`` model."""
        return Path(self.model.removeprefix(FOLDER_PREFIX)) if self.model.startswith(FOLDER_PREFIX) else None

    @property
    def checkpoint(self) -> Path | None:
        """The local file the weights are in, when they are named by file."""
        path = Path(self.pretrained).expanduser()
        return path if self.pretrained and path.is_file() else None

    @property
    def custom_config(self) -> Path | None:
        """The custom configuration, when it defines this model."""
        return self.config if self.config is not None and self.config.stem == self.model else None

    @property
    def label(self) -> str:
        """For people: ``ViT-B-32 (laion2b_s34b_b79k)``."""
        source = self.checkpoint.name if self.checkpoint else self.pretrained
        return f"{self.model} ({source})" if source else self.model

    @cached_property
    def space(self) -> str:
        """``open_clip/<model>/<weights>``: a tag, or 12 hex digits of the BLAKE3 of the local files that decide."""
        if self.folder is not None:
            files = sorted(path for path in self.folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
            return f"open_clip/{self.folder.name}/{_fingerprint([self.folder / 'open_clip_config.json', *files])}"
        local = [path for path in (self.checkpoint, self.custom_config) if path is not None]
        parts = ["" if self.checkpoint else self.pretrained.replace("/", "-"), _fingerprint(local) if local else ""]
        weights = "+".join(part for part in parts if part)
        return "/".join(part for part in ("open_clip", self.model.replace("/", "-"), weights) if part)

    @cached_property
    def model_config(self) -> dict[str, Any]:
        """The model's open_clip configuration; of a hub model, only once its repository was downloaded.

        Raises:
            ModelError: The file is no open_clip configuration, or the repository was not downloaded yet.
        """
        path = self._config_path
        if path is None:
            raise ModelError(self.model, "its configuration was not downloaded yet", "Embed something with it first.")
        try:
            read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            config: dict[str, Any] = read.get("model_cfg", read)
            missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config)
        except (ValueError, AttributeError) as error:
            raise ModelError(path, f"it is not JSON ({error})", "Mend the model configuration.") from error
        if missing:
            raise ModelError(path, f"it lacks {', '.join(sorted(missing))}", "Mend the model configuration.")
        return config

    @property
    def _config_path(self) -> Path | None:
        if self.folder is not None:
            return self.folder / "open_clip_config.json"
        if self.model.startswith(HUB_PREFIX):
            from thatdam_pipelines.embed.hub import cached_file

            return cached_file(Repository(self.model.removeprefix(HUB_PREFIX), ("open_clip_config.json",)))
        if self.custom_config is not None:
            return self.custom_config
        builtin = _builtin_configs() / f"{self.model}.json"
        return builtin if builtin.is_file() else None

    def repositories(self) -> list[Repository]:
        """What has to come from the hub: weights, and the tokenizer where the model names one there.

        Imports open_clip, for its table of tags.

        Raises:
            ModelError: The model has no weights of this tag.
        """
        if self.folder is not None:
            return []
        wanted = []
        for name in (self.model, self.pretrained):
            if name.startswith(HUB_PREFIX):
                repo_id = name.removeprefix(HUB_PREFIX)
                wanted += [Repository(repo_id, ("open_clip_config.json",)), Repository(repo_id, _HUB_WEIGHTS)]
        if not wanted and self.checkpoint is None:
            wanted = [self._tagged()]
        if self._config_path is not None:
            tokenizer = self.model_config["text_cfg"].get("hf_tokenizer_name")
            if tokenizer and not Path(tokenizer).is_dir():
                wanted.append(Repository(tokenizer, ("tokenizer.json", "tokenizer_config.json")))
        return wanted

    def _tagged(self) -> Repository:
        from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

        tag = get_pretrained_cfg(self.model, self.pretrained)
        if not tag:
            known = list_pretrained_tags_by_model(self.model)
            raise ModelError(
                f"open_clip:{self.model}@{self.pretrained}",
                "there are no weights of this tag",
                f"Use {', '.join(known) or 'a checkpoint file: this model has no tags'}.",
            )
        repo_id, _, filename = tag["hf_hub"].rpartition("/")
        if not filename:
            return Repository(repo_id, _HUB_WEIGHTS)
        safe = [f"{Path(filename).stem}.safetensors"] if filename.endswith((".bin", ".pth")) else []
        return Repository(repo_id, (*safe, filename))


def _builtin_configs() -> Path:
    """Folder of open_clip's own model configurations, found without importing it."""
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise ModelError("open_clip", "the package is not installed", "Run `pip install open-clip-torch`.")
    return Path(found.origin).parent / "model_configs"


def _fingerprint(paths: Iterable[Path]) -> str:
    digest = blake3()
    for path in paths:
        digest.update_mmap(path)
    return digest.hexdigest()[:12]
