"""Publishing audiences, destinations and keys to their topics."""
