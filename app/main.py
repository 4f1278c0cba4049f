"""Where ``turnstile`` begins. The command line itself is ``app.cli``, which takes a while to import."""

from __future__ import annotations

import signal


def main(arguments: list[str] | None = None) -> None:
    """Run a command (default: the process's) and exit."""
    # Python's own handler would print how far the imports had come.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli import run

    signal.signal(signal.SIGINT, before)
    run(arguments)


if __name__ == "__main__":
    main()
