"""The contract of input and output: AsyncAPI 3 for programs, tables in docs/contracts.md for people.

Both are made from the same structs and the same reasons of dead letters (``turnstile topology --asyncapi``).
"""
