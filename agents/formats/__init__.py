"""How input records may be written: one module per source format (docs/source-formats.md)."""
