"""Everything Dagster: thin assets, sensors, checks and schedules over the plain functions of the packages below."""
