"""The native engine (``core/``), behind the same pipeline."""
