"""Arrival: watched folders, the raw_media asset, the ingest job."""
