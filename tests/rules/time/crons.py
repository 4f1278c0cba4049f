"""Cron expressions."""

from __future__ import annotations

from random import Random

MINUTES = ["0", "*", "*/30", "*/7", "30", "1,15,59", "10-20/5", "50-10", "5/20"]
HOURS = ["0", "*", "*/6", "2", "1,23", "9-17", "22-3", "0-23/2"]
DAYS = ["*", "*", "1", "l", "29", "31", "1,30", "1,15,l", "1-7", "28-31", "*/10", "?", "*,5"]
MONTHS = ["*", "*", "*", "2", "feb,apr", "1-6/2", "nov-jan", "*/5", "12"]
WEEKDAYS = [
    "*",
    "*",
    "*",
    "mon",
    "1-5",
    "0",
    "7",
    "sun,wed",
    "fri-mon",
    "mon#1",
    "fri#5",
    "l5",
    "2#2,4#2",
    "*/2",
    "?",
]


def cron_of(dice: Random) -> str:
    """Of five fields; what never comes is made to."""
    minute, hour, day, month, weekday = map(dice.choice, (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS))
    if day == "31":
        month = "*"
    if month == "2" and day in ("28-31", "29") and "#" in weekday:
        weekday = "*"
    return f"{minute} {hour} {day} {month} {weekday}"
