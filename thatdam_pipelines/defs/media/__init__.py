"""What media files are and their proxies."""
