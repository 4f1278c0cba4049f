"""Dead letters: reading them, replaying them."""
