"""One partition of the table in memory, and what a step does to it.

- ``state``       what a step reads and changes: rules, rows, stream time
- ``positions``   how far the partition is in its sources
- ``judge``       records whose timestamps are ahead of the wall clock
- ``intake``      from bytes to checked records
- ``apply``       records, one after the other, to their users' rows
- ``sweep``       rows after definitions changed
- ``row_limits``  rows that would be too large
"""
