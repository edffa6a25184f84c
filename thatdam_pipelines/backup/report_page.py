"""The page of an offload's report: one HTML file with everything in it, which opens anywhere and loads nothing."""

import base64
from collections.abc import Iterator, Mapping
from html import escape

from thatdam_pipelines.backup.offload import Copy, OffloadResult
from thatdam_pipelines.library.files import escape_name

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } .safe { color: #0a6b2d } .unsafe { color: #b00020 }
table { border-collapse: collapse; width: 100%; font-size: .85rem }
td, th { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem }
figure { margin: 0 } img { max-width: 100% } figcaption { font-size: .8rem; overflow-wrap: anywhere }
code { font-size: .75rem }
"""


def page(result: OffloadResult, pictures: Mapping[str, tuple[bytes | None, str]], most: int) -> Iterator[str]:
    """The report as HTML, piece by piece.

    Args:
        pictures: By path: a JPEG, or None, and what is said below it.
        most: Clips that have a picture at most.
    """
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>Offload of {_text(result.card.root.name)}</title><style>{_STYLE}</style></head><body>"
    yield from _summary(result)
    yield from _clips(pictures, most)
    yield from _files(result)
    yield "</body></html>\n"


def _summary(result: OffloadResult) -> Iterator[str]:
    yield f'<h1 class="{"safe" if result.is_safe else "unsafe"}">{result.verdict}</h1>'
    yield f"<p>{_text(str(result.card.root))}: {len(result.card.files)} files, {result.card.size_bytes:,} bytes, "
    yield f"offloaded {result.started:%Y-%m-%d %H:%M:%S} UTC in {result.seconds:.1f} s.</p>"
    if lines := [*result.reasons, *result.warnings]:
        yield "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"
    heads = ("destination", "verified files", "of them by an earlier run", "ASC MHL")
    yield "<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
    for copy in result.copies:
        cells = (str(copy.folder or copy.root), len(copy.records), len(copy.earlier), copy.failure or copy.mhl)
        yield "<tr>" + "".join(f"<td>{_text(str(cell))}</td>" for cell in cells) + "</tr>"
    yield "</table>"
    unsayable = sorted({path for copy in result.copies for path in copy.unsayable})
    for title, paths in (
        ("Left on the card, made by the operating system", result.card.left),
        ("Verified, but no ASC MHL can name them", unsayable),
    ):
        if paths:
            yield f"<p>{title}: {', '.join(_text(path) for path in paths)}</p>"


def _clips(pictures: Mapping[str, tuple[bytes | None, str]], most: int) -> Iterator[str]:
    if not pictures:
        return
    yield '<h2>Clips</h2><div class="clips">'
    for path, (jpeg, said) in pictures.items():
        data = base64.b64encode(jpeg).decode() if jpeg else None
        image = f'<img alt="" src="data:image/jpeg;base64,{data}">' if data else ""
        yield f"<figure>{image}<figcaption>{_text(path)}<br>{_text(said)}</figcaption></figure>"
    yield "</div>"
    if len(pictures) == most:
        yield f"<p>Pictures of the first {most} clips.</p>"


def _files(result: OffloadResult) -> Iterator[str]:
    yield "<h2>Files</h2><table><tr><th>path</th><th>bytes</th><th>XXH128</th><th>card's hash list</th>"
    yield "".join(f"<th>{_text(str(copy.root))}</th>" for copy in result.copies) + "</tr>"
    for file in result.card.files:
        record = next((copy.records[file.path] for copy in result.copies if file.path in copy.records), None)
        yield f"<tr><td>{_text(file.path)}</td><td>{file.size_bytes:,}</td>"
        yield f"<td><code>{record.xxh128 if record else ''}</code></td><td>{(record and record.history) or ''}</td>"
        yield "".join(f"<td>{_text(_status(copy, file.path))}</td>" for copy in result.copies) + "</tr>"
    yield "</table>"


def _status(copy: Copy, path: str) -> str:
    if path in copy.records:
        return f"verified {copy.records[path].verified_at}"
    return copy.failure or copy.failures.get(path, "not copied")


def _text(text: str) -> str:
    shown = escape_name(text)
    return escape("".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown))
