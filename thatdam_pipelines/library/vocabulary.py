"""The vocabulary: tags as paths (``place/city/paris``), their synonyms, and what a word means in it."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from thatdam_pipelines.errors import CurationError
from thatdam_pipelines.library.curation import key_of, one_line
from thatdam_pipelines.library.curation_rows import (
    TAGS,
    Author,
    Insert,
    changing,
    holders,
    move_marks,
    read,
    touch,
    write,
)
from thatdam_pipelines.library.curation_tables import SYNONYMS, TAG_MARKS, VOCABULARY
from thatdam_pipelines.library.ledger_tables import portions

MOST_LEVELS = 8
LONGEST = 100
"""Characters of one level of a path."""


@dataclass(frozen=True)
class Term:
    """A tag of the vocabulary.

    Args:
        is_free: It came with a medium; nobody put it into the vocabulary.
        media: How many media carry it or a tag below it.
    """

    tag: str
    synonyms: tuple[str, ...]
    is_free: bool
    media: int


class Vocabulary:
    """The tags there are, in an open ledger. A change is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Insert) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def terms(self, below: str | None = None) -> list[Term]:
        """The tags by path; only ``below`` and those below it, when given."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(VOCABULARY).order_by(VOCABULARY.c.tag_key)).all()
            said: dict[str, list[str]] = {}
            for row in connection.execute(sa.select(SYNONYMS).order_by(SYNONYMS.c.synonym_key)):
                said.setdefault(row.tag_key, []).append(row.synonym)
            carried: dict[str, set[str]] = {}
            marks = sa.select(TAG_MARKS.c.tag_key, TAG_MARKS.c.media_id).where(~TAG_MARKS.c.removed)
            for key, media_id in connection.execute(marks):
                for above in [key, *_above(key)]:
                    carried.setdefault(above, set()).add(media_id)
        top = None if below is None else key_of(tag_path(below))
        return [
            Term(row.tag, tuple(said.get(row.tag_key, ())), row.is_free, len(carried.get(row.tag_key, ())))
            for row in rows
            if top is None or top in (row.tag_key, *_above(row.tag_key))
        ]

    def add(self, tag: str, by: str, synonyms: Iterable[str] = ()) -> list[str]:
        """Put a tag, the tags above it and synonyms of it into the vocabulary; what is there stays.

        Returns:
            The media whose words changed by a synonym.

        Raises:
            CurationError: The tag cannot be a path, or a synonym means another tag already.
        """
        path = tag_path(tag)
        wanted = {key_of(_level(word)): _level(word) for word in synonyms}
        with changing(self._writer) as connection:
            ensure(connection, self._insert, [path], Author.now(by), is_free=False)
            taken = sa.select(SYNONYMS).where(SYNONYMS.c.synonym_key.in_(list(wanted)))
            for row in connection.execute(taken).all():
                if row.tag_key != key_of(path):
                    cause = f"it is a synonym of {row.tag_key} already"
                    raise CurationError(row.synonym, cause, "Take it away there first.")
                del wanted[row.synonym_key]
            for key, word in wanted.items():
                values = {"synonym_key": key, "synonym": word, "tag_key": key_of(path)}
                connection.execute(sa.insert(SYNONYMS), values)
            return _touched(connection, key_of(path)) if wanted else []

    def remove_synonyms(self, tag: str, synonyms: Iterable[str]) -> list[str]:
        """Take synonyms of a tag away; those it does not have are no error.

        Returns:
            The media whose words changed.
        """
        path = tag_path(tag)
        keys = [key_of(word) for word in synonyms]
        with changing(self._writer) as connection:
            _existing(connection, path)
            mine = (SYNONYMS.c.tag_key == key_of(path)) & SYNONYMS.c.synonym_key.in_(keys)
            gone = connection.execute(sa.delete(SYNONYMS).where(mine)).rowcount
            return _touched(connection, key_of(path)) if gone else []

    def rename(self, tag: str, new: str, by: str) -> list[str]:
        """Give a tag, with all below it, another path. Where that exists already, the two become one.

        Returns:
            The media whose tags changed.

        Raises:
            CurationError: There is no such tag, or the new path is below the old one.
        """
        old_path, new_path = tag_path(tag), tag_path(new)
        old_key, new_key = key_of(old_path), key_of(new_path)
        if old_key in _above(new_key):
            raise CurationError(new, f"it is below {old_path}", "Choose a path outside the tag that moves.")
        author = Author.now(by)
        with changing(self._writer) as connection:
            _existing(connection, old_path)
            subtree = _subtree(connection, old_key)
            media_ids = holders(connection, TAGS, subtree)
            before = read(connection, media_ids)
            if old_key == new_key:
                for key, path in subtree.items():
                    renamed = _below(new_path, path, old_path)
                    connection.execute(sa.update(VOCABULARY).where(VOCABULARY.c.tag_key == key).values(tag=renamed))
            else:
                paths = {key: tag_path(_below(new_path, path, old_path)) for key, path in subtree.items()}
                ensure(connection, self._insert, paths.values(), author, is_free=False)
                moves = {key: key_of(path) for key, path in paths.items()}
                move_marks(connection, self._insert, TAGS, moves)
                for old, target in moves.items():
                    connection.execute(sa.update(SYNONYMS).where(SYNONYMS.c.tag_key == old).values(tag_key=target))
                _forget(connection, moves)
            return write(connection, self._insert, before, read(connection, media_ids), author)

    def remove(self, tag: str, by: str, *, force: bool = False) -> list[str]:
        """Take a tag, with all below it, out of the vocabulary.

        Args:
            force: Also when media carry it: they lose it.

        Returns:
            The media that lost it.

        Raises:
            CurationError: There is no such tag, or media carry it and ``force`` is not given.
        """
        path = tag_path(tag)
        author = Author.now(by)
        with changing(self._writer) as connection:
            _existing(connection, path)
            subtree = _subtree(connection, key_of(path))
            media_ids = holders(connection, TAGS, subtree)
            if media_ids and not force:
                cause = f"{len(media_ids)} media carry it or a tag below it"
                raise CurationError(path, cause, "Rename it, or remove it from them too with --force.")
            before = read(connection, media_ids)
            for some in portions(subtree):
                connection.execute(sa.delete(TAG_MARKS).where(TAG_MARKS.c.tag_key.in_(some)))
                connection.execute(sa.delete(SYNONYMS).where(SYNONYMS.c.tag_key.in_(some)))
            _forget(connection, subtree)
            return write(connection, self._insert, before, read(connection, media_ids), author)


def tag_path(tag: str) -> str:
    """A tag as a path: levels between slashes, each trimmed.

    Raises:
        CurationError: A level is empty or too long, there are too many, or one has a character no tag may have.
    """
    levels = [_level(level) for level in tag.split("/")]
    if len(levels) > MOST_LEVELS:
        raise CurationError(tag, f"it has {len(levels)} levels", f"A tag has at most {MOST_LEVELS}.")
    return "/".join(levels)


def meanings(connection: sa.Connection, words: Iterable[str]) -> dict[str, str | None]:
    """The key of the tag that each word means: a path, a synonym, or the last level of one path; None: of no tag.

    Raises:
        CurationError: A word is the last level of several paths.
    """
    paths = {word: tag_path(word) for word in words}
    wanted = [key_of(path) for path in paths.values()]
    known = _keys(connection, wanted)
    synonyms = {
        row.synonym_key: row.tag_key
        for some in portions(wanted)
        for row in connection.execute(sa.select(SYNONYMS).where(SYNONYMS.c.synonym_key.in_(some)))
    }
    found: dict[str, str | None] = {}
    leaves: dict[str, list[str]] = {}
    for word, path in paths.items():
        key = key_of(path)
        found[word] = key if key in known else synonyms.get(key)
        if found[word] is None and "/" not in key:
            leaves = leaves or _leaves(connection)
            found[word] = _only(word, leaves.get(key, []))
    return found


def resolve(
    connection: sa.Connection, insert: Insert, words: Collection[str], by: Author, *, free: bool
) -> dict[str, str]:
    """The key of the tag that each word means; a word that means none becomes a tag of its own.

    Args:
        free: Words may become tags. When they may not, those that a person did not write are left out.

    Raises:
        CurationError: A word means no tag and may not become one, or it could mean several.
    """
    found = meanings(connection, words)
    unknown = [word for word, key in found.items() if key is None]
    if unknown and not free:
        if by.source == "person":
            raise not_in_vocabulary(connection, unknown[0])
    elif unknown:
        ensure(connection, insert, [tag_path(word) for word in unknown], by, is_free=True)
        found |= {word: key_of(tag_path(word)) for word in unknown}
    return {word: key for word, key in found.items() if key is not None}


def ensure(connection: sa.Connection, insert: Insert, paths: Iterable[str], by: Author, *, is_free: bool) -> None:
    """See that these tags and those above them are there; of those there are, what was free is so no more."""
    wanted = dict.fromkeys(above for path in paths for above in [*_above(path)[::-1], path])
    rows = [
        {"tag_key": key_of(tag), "tag": tag, "is_free": is_free, "created_utc": by.at_utc, "created_by": by.name}
        for tag in wanted
    ]
    if not rows:
        return
    made = insert(VOCABULARY)
    if is_free:
        made = made.on_conflict_do_nothing()
    else:
        made = made.on_conflict_do_update(index_elements=["tag_key"], set_={"is_free": False})
    connection.execute(made, rows)


def with_below(connection: sa.Connection, keys: Iterable[str]) -> set[str]:
    """The keys, and those of all tags below them."""
    return {found for key in keys for found in _subtree(connection, key)}


def words_of(connection: sa.Connection, tags: Iterable[str]) -> dict[str, str]:
    """What each tag is found by: the levels of its path, and the synonyms of it and of the tags above it."""
    above = {tag: [tag, *_above(tag)] for tag in tags}
    keys = {key_of(path) for paths in above.values() for path in paths}
    said: dict[str, list[str]] = {}
    for some in portions(sorted(keys)):
        query = sa.select(SYNONYMS).where(SYNONYMS.c.tag_key.in_(some)).order_by(SYNONYMS.c.synonym_key)
        for row in connection.execute(query):
            said.setdefault(row.tag_key, []).append(row.synonym)
    return {
        tag: " ".join([*tag.split("/"), *(word for path in paths for word in said.get(key_of(path), ()))])
        for tag, paths in above.items()
    }


def not_in_vocabulary(connection: sa.Connection, word: str) -> CurationError:
    """The error of a word that means no tag, with those that are near it."""
    known = list(connection.scalars(sa.select(VOCABULARY.c.tag)))
    names = {key_of(name): tag for tag in known for name in (tag, tag.rpartition("/")[2])}
    near = [names[key] for key in difflib.get_close_matches(key_of(word), names, n=3)]
    hint = f"Did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    next_step = f"{hint}Add it with `thatdam tag vocabulary add`, or see `thatdam tag vocabulary list`."
    return CurationError(word, "it is not in the vocabulary", next_step)


def _above(path: str) -> list[str]:
    """The paths of the tags above one, the nearest first."""
    levels = path.split("/")
    return ["/".join(levels[:count]) for count in range(len(levels) - 1, 0, -1)]


def _level(word: str) -> str:
    try:
        clean = one_line(word)
    except ValueError as error:
        raise CurationError(word, f"a level of the tag {error}", "Write a tag like place/city/paris.") from error
    if "|" in clean or "/" in clean or len(clean) > LONGEST:
        cause = f"a level or synonym has | or / in it, or more than {LONGEST} characters"
        raise CurationError(word, cause, "Write a tag like place/city/paris.")
    return clean


def _keys(connection: sa.Connection, keys: Sequence[str]) -> set[str]:
    return {
        key
        for some in portions(keys)
        for key in connection.scalars(sa.select(VOCABULARY.c.tag_key).where(VOCABULARY.c.tag_key.in_(some)))
    }


def _leaves(connection: sa.Connection) -> dict[str, list[str]]:
    """The tags that are below another, by their last level."""
    found: dict[str, list[str]] = {}
    for key in connection.scalars(sa.select(VOCABULARY.c.tag_key).where(VOCABULARY.c.tag_key.contains("/"))):
        found.setdefault(key.rpartition("/")[2], []).append(key)
    return found


def _only(word: str, keys: list[str]) -> str | None:
    if len(keys) > 1:
        raise CurationError(word, f"it could mean {', '.join(sorted(keys))}", "Write the whole path.")
    return keys[0] if keys else None


def _subtree(connection: sa.Connection, key: str) -> dict[str, str]:
    """Path by key of a tag and of all below it."""
    below = VOCABULARY.c.tag_key.startswith(f"{key}/", autoescape=True)
    query = sa.select(VOCABULARY.c.tag_key, VOCABULARY.c.tag).where((VOCABULARY.c.tag_key == key) | below)
    return {row.tag_key: row.tag for row in connection.execute(query.order_by(VOCABULARY.c.tag_key))}


def _existing(connection: sa.Connection, path: str) -> None:
    if key_of(path) not in _keys(connection, [key_of(path)]):
        raise not_in_vocabulary(connection, path)


def _below(top: str, path: str, old_top: str) -> str:
    """A path that is below ``old_top`` as it is below ``top``."""
    return "/".join([*top.split("/"), *path.split("/")[old_top.count("/") + 1 :]])


def _forget(connection: sa.Connection, keys: Iterable[str]) -> None:
    for some in portions(keys):
        connection.execute(sa.delete(VOCABULARY).where(VOCABULARY.c.tag_key.in_(some)))


def _touched(connection: sa.Connection, key: str) -> list[str]:
    media_ids = holders(connection, TAGS, with_below(connection, [key]))
    touch(connection, media_ids)
    return media_ids
