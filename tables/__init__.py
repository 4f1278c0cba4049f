"""The rows: their encoding, the RocksDB store with its timer index, the changelog, the definitions."""
