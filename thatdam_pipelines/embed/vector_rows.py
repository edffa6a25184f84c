"""Vectors as the embedding tables hold them."""

from typing import Any

import numpy as np
import polars as pl

from thatdam_pipelines.embed.embedder import Vectors


def vector_row(space: str, vector: Vectors) -> dict[str, Any]:
    """The columns ``space``, ``vector`` and ``dimensions`` of a unit-length vector ``[dimensions]``."""
    return {"space": space, "vector": vector, "dimensions": len(vector)}


def mean_vector(vectors: Vectors) -> Vectors:
    """The direction unit vectors ``[n, dimensions]`` have in common, of unit length; the first if they cancel out."""
    mean = vectors.astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return (mean / length).astype(np.float32) if length > 1e-6 else vectors[0]


def split(vectors: Vectors, counts: list[int]) -> list[Vectors]:
    """Rows embedded together as one array for each of ``counts``, in order."""
    return list(np.split(vectors, np.cumsum(counts)[:-1])) if counts else []


def stacked(column: pl.Series) -> Vectors:
    """A table's column ``vector`` as float32 ``[rows, dimensions]``; every row has the same length."""
    return column.list.to_array(len(column[0])).to_numpy() if len(column) else np.zeros((0, 0), np.float32)
