"""What the catalogue shows of the ledger: its tables as they are copied to Parquet, declared like tables of facts."""

import polars as pl

from thatdam_pipelines.library.schemas import UTC, Column, Table

EXPORT_FOLDER = "ledger"
"""Folder below the tables in which the copies are: ``<name>.parquet`` each."""

BATCHES = Table(
    "batches",
    "ledger",
    "Arrivals: files that were claimed together.",
    ("batch_id",),
    (
        Column("batch_id", pl.String, "Batch: its partition in Dagster has the same name.", required=True),
        Column("root", pl.String, "Folder its files came from.", required=True),
        Column("mode", pl.String, "copy, move or reference.", required=True),
        Column("album", pl.String, "Album of the watched folder."),
        Column("category", pl.String, "Category of the watched folder."),
        Column("created_utc", UTC, "When its files were claimed.", required=True),
        Column("state", pl.String, "claimed, running, done or failed.", required=True),
        Column("run_id", pl.String, "Dagster run that ingests it."),
        Column("files", pl.Int64, "Files claimed.", required=True),
        Column("bytes", pl.Int64, "Bytes of those files.", required=True),
        Column("finished_utc", UTC, "When its ingest ended."),
    ),
)

FILES = Table(
    "files",
    "ledger",
    "Files seen in folders.",
    ("root", "rel_path"),
    (
        Column("root", pl.String, "Folder it is in.", required=True),
        Column("rel_path", pl.String, "Path below that folder.", required=True),
        Column("size_bytes", pl.Int64, "Size when last seen.", required=True),
        Column("mtime_ns", pl.Int64, "Modification time when last seen, ns since 1970.", required=True),
        Column("first_seen_utc", UTC, "When it was first seen with this size and time.", required=True),
        Column("state", pl.String, "seen, settled, claimed, done, failed or gone.", required=True),
        Column("settled_utc", UTC, "When it had stopped changing."),
        Column("batch_id", pl.String, "Batch that claimed it."),
        Column("reason", pl.String, "Why it failed or is not there any more; empty otherwise.", required=True),
    ),
)

FOLDERS = Table(
    "folders",
    "ledger",
    "Watched folders.",
    ("path",),
    (
        Column("path", pl.String, "The folder.", required=True),
        Column("online", pl.Boolean, "True when it could be reached at the last look.", required=True),
        Column("changed_utc", UTC, "Since when that is so.", required=True),
        Column("message", pl.String, "What the last look said.", required=True),
        Column("identity", pl.String, "Tells the folder from the empty one left where its disk was."),
        Column("resume", pl.String, "Where a scan that ran out of time goes on."),
    ),
)

EXPORTS: tuple[Table, ...] = (BATCHES, FILES, FOLDERS)
