"""The errors of the library database in words that say what to do."""

import sqlalchemy as sa

from thatdam_pipelines.errors import DatabaseError

_DAMAGED = ("file is not a database", "malformed")
"""What SQLite says of a damaged file."""


def in_words(error: sa.exc.DBAPIError, url: str) -> DatabaseError:
    """What failed and what to do, without the statement: it may hold what people said.

    Args:
        url: SQLAlchemy URL of the library database.
    """
    address = sa.make_url(url)
    in_file = address.get_backend_name() == "sqlite"
    name = str(address.database) if in_file else address.render_as_string(hide_password=True)
    cause = str(error.orig).partition("\n")[0]
    if in_file and any(said in cause for said in _DAMAGED):
        restore = "`thatdam backup restore latest --path library.db --to DIR`"
        next_step = f"Get it from a backup with {restore}, and put it in its place as docs/backup.md says."
        return DatabaseError(name, f"the library database is damaged ({cause})", next_step)
    next_step = "Check its disk or its server, then run it again."
    return DatabaseError(name, f"the library database cannot be used ({cause})", next_step)
