"""An independent reading of docs/semantics.md, by brute force: keeps every record, evaluates from scratch.

It shares no code with ``rules``: definitions are plain dicts; instants, calendar and operators are its own.
It is slow and meant to be obviously right. It yields what the pipeline must yield, for any batching and
crashes. Where the specification leaves a choice, the module that makes it says so ("Choice:").

    instants, calendars, operators    values and time
    facts                             what is known of a user, and what a rule may see of it at an instant
    events, sequences, truth          the value of a rule at an instant
    timers                             every instant at which a value could change by time alone
    partition                         the clock, records, steps, transitions
"""

from tests.model.instants import duration_ms, instant_ms, instant_text
from tests.model.partition import Model

__all__ = ["Model", "duration_ms", "instant_ms", "instant_text"]
