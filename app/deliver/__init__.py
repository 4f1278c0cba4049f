"""The delivery process: destinations at work, their status and metrics."""
