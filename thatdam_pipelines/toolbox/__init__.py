"""What users of the toolbox know: its actions, as plain functions with its names and shapes."""
