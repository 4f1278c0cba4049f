"""Instants, durations, time zones, schedules: arithmetic only, no clock."""
