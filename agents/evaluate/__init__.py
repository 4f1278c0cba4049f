"""From events to transitions. ``pipeline`` is the file to read first."""
