"""Vectors and tags of files, frames and scenes."""
