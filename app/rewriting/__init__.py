"""Topics that keep records for ever, written again without the users who were erased."""
