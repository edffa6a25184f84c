"""Workflows in Dagster: the job that runs one, the sensor over the folder they are dropped into, their schedules."""
