"""What the catalogue shows of curation in the ledger, declared like tables of facts."""

import polars as pl

from thatdam_pipelines.library.table import UTC, Column, Table

_MEDIA_ID = Column("media_id", pl.String, "Content.", required=True)
_SOURCE = Column("source", pl.String, "folder, embedded (the file itself), sidecar or person.", required=True)
_REMOVED = Column("removed", pl.Boolean, "True: it was taken away again.", required=True)

CURATION = Table(
    "curation",
    "ledger",
    "What people say of media, as it is now; a medium that nobody said anything of has no row.",
    ("media_id",),
    (
        _MEDIA_ID,
        Column("rating", pl.Int64, "0 to 5 stars; null: unrated."),
        Column("pick", pl.String, "pick, reject or null."),
        Column("label", pl.String, "Colour label."),
        Column("title", pl.String, "Title."),
        Column("description", pl.String, "What it shows, in sentences."),
        Column("people", pl.String, "Who is in it.", required=True),
        Column("licence", pl.String, "Licence or terms of use."),
        Column("owner", pl.String, "Who owns the rights."),
        Column("releases", pl.String, "Model and property releases there are.", required=True),
        Column("rights_expire", pl.Date, "Last day on which it may be used."),
        Column("state", pl.String, "new, in_review, approved, rejected or archived.", required=True),
        Column("sources", pl.String, "By field, where its value comes from, as JSON.", required=True),
        Column("version", pl.Int64, "Number of the change that made it so, over the whole library.", required=True),
        Column("changed_utc", UTC, "When it was last changed.", required=True),
        Column("changed_by", pl.String, "Who changed it.", required=True),
    ),
)

HISTORY = Table(
    "curation_history",
    "ledger",
    "Every change of what is said of media: one row for each field.",
    ("media_id", "version", "field"),
    (
        _MEDIA_ID,
        Column("version", pl.Int64, "Number of the change; what was changed together has the same.", required=True),
        Column("field", pl.String, "What was changed: rating, tags, ...", required=True),
        Column("old", pl.String, "What it was, as JSON.", required=True),
        Column("new", pl.String, "What it became, as JSON.", required=True),
        _SOURCE,
        Column("changed_utc", UTC, "When.", required=True),
        Column("changed_by", pl.String, "Who; for files and folders, which.", required=True),
    ),
)

VOCABULARY = Table(
    "vocabulary",
    "ledger",
    "The tags there are.",
    ("tag_key",),
    (
        Column("tag_key", pl.String, "The tag without case: what two spellings share.", required=True),
        Column("tag", pl.String, "Path of the tag: place/city/paris.", required=True),
        Column("is_free", pl.Boolean, "True: it came with a medium, not by the vocabulary.", required=True),
        Column("created_utc", UTC, "When it came.", required=True),
        Column("created_by", pl.String, "Who brought it.", required=True),
    ),
)

SYNONYMS = Table(
    "synonyms",
    "ledger",
    "Other words for tags.",
    ("synonym_key",),
    (
        Column("synonym_key", pl.String, "The word without case.", required=True),
        Column("synonym", pl.String, "The word.", required=True),
        Column("tag_key", pl.String, "Tag that it means.", required=True),
    ),
)

TAG_MARKS = Table(
    "tag_marks",
    "ledger",
    "Tags that people, sidecars and files gave to media.",
    ("media_id", "tag_key"),
    (_MEDIA_ID, Column("tag_key", pl.String, "Tag.", required=True), _REMOVED, _SOURCE),
)

ALBUMS = Table(
    "albums",
    "ledger",
    "Albums.",
    ("album_key",),
    (
        Column("album_key", pl.String, "The name without case.", required=True),
        Column("album", pl.String, "Name.", required=True),
        Column("created_utc", UTC, "When it was made.", required=True),
        Column("created_by", pl.String, "Who made it.", required=True),
    ),
)

ALBUM_MARKS = Table(
    "album_marks",
    "ledger",
    "Which media are in which albums.",
    ("media_id", "album_key"),
    (_MEDIA_ID, Column("album_key", pl.String, "Album.", required=True), _REMOVED, _SOURCE),
)

CURATION_EXPORTS: tuple[Table, ...] = (CURATION, HISTORY, VOCABULARY, SYNONYMS, TAG_MARKS, ALBUMS, ALBUM_MARKS)
