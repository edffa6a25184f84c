"""What people say of media: changed, found by at once, and read from and written to XMP."""
