"""Which network addresses a destination may reach."""
