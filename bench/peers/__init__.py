"""Programs of another kind that do the same job: what a worker is measured beside."""
