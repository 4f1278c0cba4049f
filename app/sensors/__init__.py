"""The HTTP interface of the Sensors audience engine, for clients that were written for it (docs/sensors.md).

Paths, headers, bodies and the envelope are that engine's (version 1 of its interface). What its documentation
leaves open is ours, and said in docs/sensors.md.
"""
