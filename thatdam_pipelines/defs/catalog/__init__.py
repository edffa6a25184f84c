"""Projections that searches and queries read."""
