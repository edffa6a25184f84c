"""The ledger's tables of what people say of media: ratings, texts, rights, states, tags, albums and their history."""

import sqlalchemy as sa

from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime

CURATION = sa.Table(
    "curation",
    METADATA,
    sa.Column("media_id", sa.Text, primary_key=True),
    sa.Column("rating", sa.Integer),
    sa.Column("pick", sa.Text),
    sa.Column("label", sa.Text),
    sa.Column("title", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("people", sa.Text, nullable=False),
    sa.Column("licence", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("releases", sa.Text, nullable=False),
    sa.Column("rights_expire", sa.Date),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("sources", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
    sa.Column("changed_utc", UtcTime, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
)
HISTORY = sa.Table(
    "curation_history",
    METADATA,
    sa.Column("media_id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("old", sa.Text, nullable=False),
    sa.Column("new", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("changed_utc", UtcTime, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
)
VOCABULARY = sa.Table(
    "vocabulary",
    METADATA,
    sa.Column("tag_key", sa.Text, primary_key=True),
    sa.Column("tag", sa.Text, nullable=False),
    sa.Column("is_free", sa.Boolean, nullable=False),
    sa.Column("created_utc", UtcTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)
SYNONYMS = sa.Table(
    "synonyms",
    METADATA,
    sa.Column("synonym_key", sa.Text, primary_key=True),
    sa.Column("synonym", sa.Text, nullable=False),
    sa.Column("tag_key", sa.Text, nullable=False, index=True),
)
ALBUMS = sa.Table(
    "albums",
    METADATA,
    sa.Column("album_key", sa.Text, primary_key=True),
    sa.Column("album", sa.Text, nullable=False),
    sa.Column("created_utc", UtcTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)


def _marks(name: str, key: str) -> sa.Table:
    # A row that was removed stays: what a person took away is not brought back by the next reading of a sidecar.
    return sa.Table(
        name,
        METADATA,
        sa.Column("media_id", sa.Text, primary_key=True),
        sa.Column(key, sa.Text, primary_key=True, index=True),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
    )


TAG_MARKS = _marks("tag_marks", "tag_key")
ALBUM_MARKS = _marks("album_marks", "album_key")
CURATED = (CURATION, HISTORY, VOCABULARY, SYNONYMS, TAG_MARKS, ALBUMS, ALBUM_MARKS)
