"""What the settings let a destination do: which secrets it may send, to which topics it may write."""
