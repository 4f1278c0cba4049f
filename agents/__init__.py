"""The streams: the pipeline, and the Faust agents around it."""
