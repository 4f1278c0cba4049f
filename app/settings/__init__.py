"""Settings: their tree, where they come from, what is said of wrong ones."""
