"""The two chains of a batch, each one run in one process: to searchable in seconds, to understood in minutes."""

import dagster as dg

from thatdam_pipelines.defs.automation import CATALOG_TAGS, HEAVY_TAGS, LIGHT_TAGS
from thatdam_pipelines.defs.partitions import INGEST_BATCH

INDEXES = ("vector_index", "text_index")
LIGHT = ("raw_media", "capture_sessions", "probes", "embeddings_l0", *INDEXES)
RELATED = ("fingerprints", "embeddings_l3")
HEAVY = (
    *("proxies", "audio", "transcripts", "motion", "sync", "embeddings_l1", "embeddings_l2", "tags"),
    *(*RELATED, *INDEXES),
)

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(*LIGHT),
    partitions_def=INGEST_BATCH,
    tags=LIGHT_TAGS,
    description="Stores, proves and probes the files of a batch and makes them findable as whole files.",
)

understand = dg.define_asset_job(
    "understand",
    selection=dg.AssetSelection.assets(*HEAVY),
    partitions_def=INGEST_BATCH,
    tags=HEAVY_TAGS,
    description="Makes proxies, frames, scenes, sound facts and tags of a batch. Starts by itself after ingest.",
)

rewrap = dg.define_asset_job(
    "rewrap",
    selection=dg.AssetSelection.assets("rewraps"),
    partitions_def=INGEST_BATCH,
    tags=HEAVY_TAGS,
    description="Makes one file for editors of each recording that ended in the batch. Only on request.",
)

publish_catalog = dg.define_asset_job(
    "publish_catalog",
    selection=dg.AssetSelection.assets("catalog"),
    tags=CATALOG_TAGS,
    description="Publishes the SQL catalogue now instead of within the next minute.",
)
