"""What keeps storage small and quick."""
