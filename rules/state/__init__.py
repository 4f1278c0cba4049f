"""What is kept of a user: the row, event times, ids seen, and the interface of every condition's state."""
