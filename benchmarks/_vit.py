"""A ViT-B-32 with random weights: as dear to run as the real one, and to be had without a network."""

from pathlib import Path


def write_random_vit(folder: Path) -> dict[str, object]:
    """Write a ViT-B-32 checkpoint (about 600 MB) into ``folder``; gives the settings that serve it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    checkpoint = folder / "vit-b-32-random.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, checkpoint)
    return {"embedder": f"open_clip:ViT-B-32@{checkpoint}"}
