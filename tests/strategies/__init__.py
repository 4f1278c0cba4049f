"""Random definitions of the whole language and random logs, from small domains so that things coincide.

scales         the durations, steps of the clock and starts of one example
predicates     operators and ``where``
conditions     event conditions, sequences, attributes
definitions    rules and audiences
histories      what happens: records, idle times, crashes, looks
agreement      a run of both through the pipeline and the model
"""
