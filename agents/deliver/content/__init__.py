"""What a delivery says: the body, and what it needs to know of the user."""
