"""What the catalogue shows of the ledger: its tables as they are copied to Parquet, declared like tables of facts."""

import polars as pl

from thatdam_pipelines.library.curation_exports import CURATION_EXPORTS
from thatdam_pipelines.library.table import UTC, Column, Table

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
        Column("album", pl.String, "Album of the watched folder: its media were put into it."),
        Column("category", pl.String, "Category of the watched folder."),
        Column("created_utc", UTC, "When its files were claimed.", required=True),
        Column("state", pl.String, "claimed, running, done or failed.", required=True),
        Column("run_id", pl.String, "Dagster run that ingests it."),
        Column("files", pl.Int64, "Files claimed.", required=True),
        Column("bytes", pl.Int64, "Bytes of those files.", required=True),
        Column("finished_utc", UTC, "When its ingest ended."),
        Column("released", pl.Int64, "How often a run that died gave it back to be run again."),
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

_TARGET = (
    Column("target_id", pl.String, "Identity of the target, as it carries it itself.", required=True),
    Column("target", pl.String, "Name of the target in the settings.", required=True),
)

TARGETS = Table(
    "targets",
    "ledger",
    "Places that snapshots were written to.",
    ("target_id",),
    (
        *_TARGET,
        Column("url", pl.String, "Where it was when last seen.", required=True),
        Column("volume", pl.String, "Volume it counts as: targets of one volume can be lost together.", required=True),
        Column("offsite", pl.Boolean, "True when it is in another building.", required=True),
        Column("price_per_tb_month", pl.Float64, "What a terabyte costs there in a month."),
        Column("seen_utc", UTC, "When a snapshot was last written to it.", required=True),
    ),
)

SNAPSHOTS = Table(
    "snapshots",
    "ledger",
    "Snapshots of the library.",
    ("snapshot_id",),
    (
        Column("snapshot_id", pl.String, "Snapshot: when it was begun, its number at the target.", required=True),
        *_TARGET,
        Column("started_utc", UTC, "When it was begun.", required=True),
        Column("finished_utc", UTC, "When its manifest was there.", required=True),
        Column("files", pl.Int64, "Files in it.", required=True),
        Column("bytes", pl.Int64, "Bytes of those files.", required=True),
        Column("new_files", pl.Int64, "Contents that were copied for it.", required=True),
        Column("new_bytes", pl.Int64, "Bytes that were copied for it.", required=True),
        Column("known_files", pl.Int64, "Contents that were there already, verified.", required=True),
        Column("known_bytes", pl.Int64, "Bytes of those.", required=True),
        Column("missing", pl.Int64, "Files of the library that are not in it: away or damaged.", required=True),
        Column("manifest_blake3", pl.String, "BLAKE3 of its manifest, 64 hex digits.", required=True),
        Column("pruned_utc", UTC, "When it was removed by the target's retention."),
    ),
)

COPIES = Table(
    "copies",
    "ledger",
    "Contents at targets, and originals that were re-read in the library.",
    ("target_id", "blake3"),
    (
        Column("target_id", pl.String, "Identity of the target; `library` for the library itself.", required=True),
        Column("blake3", pl.String, "BLAKE3 of the content, 64 hex digits.", required=True),
        Column("media_id", pl.String, "Content, where it is an original."),
        Column("role", pl.String, "original, table, database or derived.", required=True),
        Column("size_bytes", pl.Int64, "Size of the content.", required=True),
        Column("copied_utc", UTC, "When the copy was made.", required=True),
        Column("verified_utc", UTC, "When it was last read back and equalled its hash."),
        Column("state", pl.String, "verified, damaged or missing.", required=True),
        Column("reason", pl.String, "What is wrong with it; empty when nothing is.", required=True),
    ),
)

AUDITS = Table(
    "audits",
    "ledger",
    "Re-readings of targets and originals, and restore drills.",
    ("audit_id",),
    (
        Column("audit_id", pl.String, "Audit.", required=True),
        Column("kind", pl.String, "audit (a target), verify (the originals) or drill (a restore).", required=True),
        *_TARGET,
        Column("started_utc", UTC, "When it was begun.", required=True),
        Column("finished_utc", UTC, "When it ended.", required=True),
        Column("files", pl.Int64, "Contents that were read.", required=True),
        Column("bytes", pl.Int64, "Bytes that were read.", required=True),
        Column("wrong", pl.Int64, "Contents found damaged or missing.", required=True),
        Column("message", pl.String, "What was found, in words.", required=True),
    ),
)

OFFLOADS = Table(
    "offloads",
    "ledger",
    "Offloads of cards, at each of their destinations.",
    ("offload_id", "destination"),
    (
        Column("offload_id", pl.String, "Offload: rows of one offload share it.", required=True),
        Column("destination", pl.String, "Folder it was copied to, as it was asked for.", required=True),
        Column("card", pl.String, "Name of the card: its folder.", required=True),
        Column("source", pl.String, "Path at which the card was mounted.", required=True),
        Column("folder", pl.String, "The copy of the card there; null where none was begun."),
        Column("started_utc", UTC, "When it was begun.", required=True),
        Column("elapsed_s", pl.Float64, "Seconds it took.", required=True),
        Column("files", pl.Int64, "Files on the card.", required=True),
        Column("bytes", pl.Int64, "Bytes of those files.", required=True),
        Column("verdict", pl.String, "Of the whole offload: SAFE TO FORMAT or NOT SAFE.", required=True),
        Column("verified", pl.Int64, "Files with a verified copy at this destination.", required=True),
        Column("verified_earlier", pl.Int64, "Those of them that an earlier run had verified.", required=True),
        Column("whole", pl.Boolean, "True when every file is at this destination, verified.", required=True),
        Column("reasons", pl.String, "Why the card is not safe, a line each; empty when it is.", required=True),
    ),
)

EXPORTS: tuple[Table, ...] = (BATCHES, FILES, FOLDERS, TARGETS, SNAPSHOTS, COPIES, AUDITS, OFFLOADS, *CURATION_EXPORTS)
