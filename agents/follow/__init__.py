"""Changelogs followed into stores for as long as the process lives: readers and standbys."""
