"""Search over 100,000 scenes end to end, against bare text encoding and a bare Chroma query.

Run: python benchmarks/search.py [--scenes 100000] [--home FOLDER]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from _measure import machine
from _vit import write_random_vit
from rich.console import Console
from rich.table import Table

from thatdam_pipelines.embed.embedder import open_embedder
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2, MEDIA
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.samples.library_rows import WORDS, made_up_batch, write_batch
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings

SCENES_A_CLIP = 20
CLIPS_A_BATCH = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument(
        "--home", type=Path, help="Keep the library here, and measure the one that is there. Default: throwaway."
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_random_vit(options.home or Path(folder))
        settings = Settings(home=(options.home or Path(folder)) / "home", **model)
        build(settings, options.scenes)
        measure(settings, options.scenes, options.queries)


def build(settings: Settings, scenes: int) -> None:
    embedder = open_embedder(settings)
    with Library(settings) as library:
        if library.tables.batches(MEDIA):
            return
        fill(library, scenes, embedder.space, embedder.dimensions)
        with VectorIndex(settings) as vectors, TextIndex(settings.text_path) as text:
            for batch in library.tables.batches(MEDIA):
                vectors.index_batch(library, batch)
                text.index_batch(library, batch)


def measure(settings: Settings, scenes: int, count: int) -> None:
    space = open_embedder(settings).space
    encode = bare_encoder(str(settings.embedder))
    with Searcher(settings) as searcher:
        collection = searcher.vectors._serving()[space, "l2"]
        rng = np.random.default_rng(1)
        queries = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(count)]
        for text in queries[:5]:
            searcher.search(Query(text=text))
        bare, whole = [], []
        for text in queries:
            bare.append(timed(partial(ask_bare, encode, collection, text)))
            whole.append(timed(partial(searcher.search, Query(text=text))))
    show(scenes, bare, whole)


def fill(library: Library, scenes: int, space: str, dimensions: int) -> None:
    """Tables of a made-up library; scene vectors lie around a few hundred centres, as those of real footage do."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((400, dimensions))
    for start in range(0, scenes // SCENES_A_CLIP, CLIPS_A_BATCH):
        batch_id = f"20260101T{start:06d}-00000000"
        made = made_up_batch(batch_id, CLIPS_A_BATCH, scenes=SCENES_A_CLIP, frames=1, first=start)
        rows = made[EMBEDDINGS_L2]
        vectors = centres[rng.integers(0, len(centres), rows.height)]
        vectors = vectors + 0.5 * rng.standard_normal(vectors.shape)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        made[EMBEDDINGS_L2] = rows.with_columns(
            space=pl.lit(space),
            dimensions=pl.lit(dimensions, pl.Int32),
            vector=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32)),
        )
        for table in (EMBEDDINGS_L0, EMBEDDINGS_L1):
            made[table] = made[table].clear()
        write_batch(library.tables, batch_id, made)


def bare_encoder(embedder: str) -> Callable[[str], Any]:
    """Text to vector by open_clip as its own documentation shows it."""
    import open_clip
    import torch

    model = open_clip.create_model("ViT-B-32", pretrained=embedder.partition("@")[2]).eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")

    def encode(text: str) -> Any:
        with torch.inference_mode():
            return model.encode_text(tokenizer([text]), normalize=True)[0].numpy()

    return encode


def ask_bare(encode: Callable[[str], Any], collection: Any, text: str) -> None:
    collection.query(query_embeddings=[encode(text)], n_results=20)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def show(scenes: int, bare: list[float], whole: list[float]) -> None:
    table = Table("way", "median ms", "p95 ms", "ratio of p95", title=f"search, {scenes} scenes", caption=machine())
    for label, times in (("bare text encoding + bare Chroma query", bare), ("thatdam search", whole)):
        p95 = float(np.percentile(times, 95))
        ratio = p95 / float(np.percentile(bare, 95))
        table.add_row(label, f"{1000 * float(np.median(times)):.1f}", f"{1000 * p95:.1f}", f"{ratio:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
