"""Snapshots, audits and restore drills."""
