"""``python -m turnstile_segmentation`` is ``turnstile``."""

from turnstile_segmentation import main

main()
