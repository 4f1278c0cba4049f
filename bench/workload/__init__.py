"""What every benchmark runs: events, audiences, and what must come out."""
