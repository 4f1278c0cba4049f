"""The other kinds of condition at run time: attributes, sequences, batches, and what combines conditions."""
