"""All versions of all audiences, what a partition lacks of them, and the cut that brings it there."""
