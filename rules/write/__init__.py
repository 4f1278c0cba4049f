"""From audiences to text: definitions, JSON Schema, reference tables."""
