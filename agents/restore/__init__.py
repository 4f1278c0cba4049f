"""From the changelog back to the rows."""
