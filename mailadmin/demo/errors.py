"""What keeps the demo from running, as a sentence for the person who started it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot start or go on; the text says why and what to do."""
