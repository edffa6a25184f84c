"""What people call a file: the path it came from."""

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA


def names_of(library: Library, batch_id: str) -> dict[str, str]:
    """For each content of the batch, the path it came from first; its bare name where no location tells."""
    names = dict(library.tables.read(MEDIA, batch_id).select("media_id", "name").iter_rows())
    locations = library.tables.read(LOCATIONS, batch_id).sort("duplicate", "source_path", descending=True)
    return names | dict(locations.select("media_id", "source_path").iter_rows())
