"""How a new version of an audience gets its past (docs/life-of-a-definition.md)."""
