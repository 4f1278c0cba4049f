"""What an apply would do, shown before it is done: the plan, its effects, what stands against it."""
