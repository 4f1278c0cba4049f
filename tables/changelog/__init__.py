"""The changelog of one partition, the only place that knows its format.

``writer``: a step to records. ``reader``: records to rows.

A step is written as these records, in this order:

    notes                of records that are refused for their timestamps (``tables.refused``)
    checkpoint           the time before the step, and the step up to which every output is known to be in
                         Kafka; in a header, dead letters of records that were refused because of their row
    freed slots          records without a value
    chunks of outboxes   only where an outbox is too large to go with its row
    rows                 each with its outbox: the transitions that are not known to be in Kafka
    end checkpoint       the time after the step; with the same header

A row's record carries its outbox in a header, so that no crash parts the two and compaction takes both at
once. Where the record would be larger than the topic takes, the outbox goes before the row, cut into chunks,
and the header ``outbox.chunks`` says where they are. Chunks have keys of their own, the *slots*, the lowest
free ones. A slot is free when a checkpoint that stands before its next use says that the step which used it
is acknowledged; so compaction takes no chunk that recovery needs, and there are never more slots than the
largest commit cycle needed. A chunk whose row never came has the number of a step that no row names: it is
never sent.

A record that is refused because of its user's row (``row_too_large``) is not looked at again after a crash
when the row, or the end checkpoint, speaks of later records. So it waits with the checkpoints as transitions
do with rows, in chunks where it is large.

Keys of rows: ``tables.codec.row_key``. All other keys begin with two NULs, which no row's key does.
"""
