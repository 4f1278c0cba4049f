"""One module per kind of destination; each implements ``agents.deliver.engine.sink.Sink``."""
