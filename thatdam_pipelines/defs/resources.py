"""What a run holds while it lasts: the open library, the embedder, and whoever watches its progress."""

from collections.abc import Callable, Iterator
from functools import cached_property

import dagster as dg

from thatdam_pipelines.defs.dead_runs import worker_tag
from thatdam_pipelines.embed.embedder import Embedder, open_embedder
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings, get_settings

Announce = Callable[[str, int, int, str], None]
"""Called with (stage, files done, files to do, name of the file)."""


class RunEmbedder:
    """The embedder of a run, opened when a step first asks: a wrong setting costs that step, not the ingest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def opened(self) -> Embedder:
        """The same object for every step of the run, so that weights load once."""
        return open_embedder(self._settings)


def library_of(settings: Settings | None = None) -> dg.ResourceDefinition:
    """The library of ``settings`` (of the environment, if None), open as long as the run, which it marks as alive."""

    def opened(context: dg.InitResourceContext) -> Iterator[Library]:
        if context.instance is not None and context.run_id is not None:
            context.instance.add_run_tags(context.run_id, worker_tag())
        with Library(settings or get_settings()) as library:
            yield library

    return dg.ResourceDefinition(opened, description="The open home folder, one a run.")


def embedder_of(settings: Settings | None = None) -> dg.ResourceDefinition:
    """The embedder of ``settings`` (of the environment, if None)."""
    return dg.ResourceDefinition(
        lambda _: RunEmbedder(settings or get_settings()), description="The model: its weights load once a run."
    )


def announcing(announce: Announce | None = None) -> dg.ResourceDefinition:
    """Somebody who is told of every finished file, beside the run's log: the command line's progress bar."""
    return dg.ResourceDefinition(
        lambda _: announce or (lambda stage, done, total, name: None), description="Who else is told of progress."
    )
