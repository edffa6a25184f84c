"""JSON workflows: read and checked, run step by step, each action declared once."""
