"""What open_clip's own picture transform does, on frames that the decoder has scaled already."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


class Preprocess:
    """Resize, crop or pad, and normalise as a model's preprocess configuration says.

    A frame whose short edge already is the model's size is only cropped, which gives exactly what open_clip's PIL
    transform gives. Others are resized with antialiasing, within rounding of Pillow's result.

    Args:
        config: ``open_clip.get_model_preprocess_cfg(model)``: size, mean, std, interpolation, resize_mode, fill_color.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        size = config["size"]
        self.height, self.width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self._mean = config["mean"]
        self._std = config["std"]
        self._interpolation = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
        self._mode = config["resize_mode"]
        self._fill = int(config["fill_color"])

    def __call__(self, frame: npt.NDArray[np.uint8]) -> Any:
        """uint8 tensor ``[3, height, width]`` of a frame ``[height, width, 3]``; ``normalise`` makes it floats."""
        import torch

        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)
        picture = _resized(picture, self._target(frame.shape[0], frame.shape[1]), self._interpolation)
        return self._centred(picture)

    def normalise(self, pictures: Any) -> Any:
        """float32 ``[n, 3, height, width]`` of a uint8 batch, on the batch's device."""
        import torch

        mean = torch.tensor(self._mean, device=pictures.device).view(1, -1, 1, 1)
        std = torch.tensor(self._std, device=pictures.device).view(1, -1, 1, 1)
        return (pictures.float() / 255 - mean) / std

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if self._mode == "squash":
            return self.height, self.width
        if self._mode == "shortest" and self.height == self.width:
            short = min(height, width)
            return (
                (self.height, int(self.width * width / short))
                if height == short
                else (int(self.height * height / short), self.width)
            )
        ratios = (height / self.height, width / self.width)
        ratio = min(ratios) if self._mode == "shortest" else max(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _centred(self, picture: Any) -> Any:
        """Crop what is too long and pad what is too short, keeping the middle."""
        import torch

        for axis, wanted in ((1, self.height), (2, self.width)):
            length = picture.shape[axis]
            if length > wanted:
                picture = picture.narrow(axis, round((length - wanted) / 2), wanted)
            elif length < wanted:
                before = (wanted - length) // 2
                padding = [0, 0, before, wanted - length - before] if axis == 1 else [before, wanted - length - before]
                picture = torch.nn.functional.pad(picture, padding, value=self._fill)
        return picture


def _resized(picture: Any, size: tuple[int, int], interpolation: str) -> Any:
    import torch

    if tuple(picture.shape[1:]) == size:
        return picture
    return torch.nn.functional.interpolate(picture[None], size=size, mode=interpolation, antialias=True)[0]
