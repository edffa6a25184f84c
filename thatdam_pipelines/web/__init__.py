"""What thatdam serves over HTTP on loopback."""
