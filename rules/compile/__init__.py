"""From the audiences in use to the rule set that runs: conditions shared, indexed by event."""
