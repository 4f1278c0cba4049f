"""What ends a process's part in its consumer group."""


class GroupRefused(Exception):
    """The consumer group doesn't let this process in, or has ended its part in it for good."""


class MembershipLost(Exception):
    """The group went on without this worker: its partitions may be another's, so it must write no more."""
