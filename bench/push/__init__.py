"""Lists to their targets: rows made, spooled and delivered, each part beside its floor."""
