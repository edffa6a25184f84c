"""One partition an arrival. Files are rows inside it: a partition a file would drown the event log and the UI."""

import dagster as dg

INGEST_BATCH = dg.DynamicPartitionsDefinition(name="ingest_batch")
