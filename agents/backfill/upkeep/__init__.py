"""Every partition of a worker, kept at the versions that are published."""
