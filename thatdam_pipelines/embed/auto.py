"""``auto``: the configured open_clip model where its weights can be had, else the descriptor; within ten seconds."""

from thatdam_pipelines.embed import hub
from thatdam_pipelines.embed.descriptor import DescriptorEmbedder
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder


def resolve(model: OpenClipEmbedder) -> Embedder:
    """``model`` itself, with a note of where its weights are from, or a ``DescriptorEmbedder`` that says why.

    Where nothing is cached and the hub does not answer, this is known without importing torch.

    Raises:
        ModelError: The configured model has no weights of the configured tag.
    """
    weights = model.weights
    if weights.checkpoint is None and weights.folder is None and not hub.cache_has_weights():
        answer = hub.hub_answers()
        if answer.state == "missing":
            return _descriptor(weights.label, answer.reason)
    states = set()
    for repository in weights.repositories():
        found = hub.availability(repository)
        if found.state == "missing":
            return _descriptor(weights.label, found.reason)
        states.add(found.state)
    source = "will be downloaded from the hub on first use" if "reachable" in states else "are on this machine"
    model.note = f"open_clip {weights.label} serves because its weights {source}."
    return model


def _descriptor(label: str, reason: str) -> DescriptorEmbedder:
    return DescriptorEmbedder(f"the weights of {label} are not on this machine and {reason}")
