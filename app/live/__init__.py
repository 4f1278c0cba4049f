"""The live feed of an audience's transitions, as server-sent events: ``routes`` first."""
