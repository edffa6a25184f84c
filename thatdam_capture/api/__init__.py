"""HTTP and WebSocket side of the recorder."""
