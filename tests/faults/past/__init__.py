"""Definitions that change while workers die, disks are wiped and brokers restart."""
