"""Lookups answered from followed changelogs: those of readers, and of a worker's standbys."""
