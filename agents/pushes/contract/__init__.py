"""What the parts of a push agree on: definitions, members and their rows, spooled lists, targets."""
