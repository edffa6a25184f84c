"""thatdam: verified ingest, moment search and lineage for people who shoot video."""
