"""The rows: their encoding, the RocksDB store with its due index, the changelog, the definitions."""
