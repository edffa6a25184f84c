"""Every action there is: what validates a step, documents it, says what it would do and does it."""

from thatdam_pipelines.workflows.action import Action
from thatdam_pipelines.workflows.asking import Related, Search, Sql, Sync
from thatdam_pipelines.workflows.curating import Album, Describe, Rate, State, Tag, Xmp
from thatdam_pipelines.workflows.keeping import Audit, Backup, Drill, Prune, Restore, Verify
from thatdam_pipelines.workflows.listing import Batches, Clean, Dump, Paths, Recent, Stats
from thatdam_pipelines.workflows.taking import Ingest, Offload, Retry, Scan, SyncAlbum

_ALL: tuple[type[Action], ...] = (
    *(Scan, SyncAlbum, Ingest, Offload, Retry),
    *(Stats, Recent, Dump, Paths, Batches, Clean),
    *(Search, Related, Sync, Sql),
    *(Rate, Tag, State, Album, Describe, Xmp),
    *(Backup, Audit, Drill, Prune, Verify, Restore),
)
ACTIONS: dict[str, type[Action]] = {kind.model_fields["action"].annotation.__args__[0]: kind for kind in _ALL}  # type: ignore[union-attr]
"""By name."""
