"""From text to audiences, with every problem and its place."""
