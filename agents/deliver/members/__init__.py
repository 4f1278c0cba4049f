"""Who is in now: the members that a destination gets first."""
