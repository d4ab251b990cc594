"""What can go wrong with the sandbox, as one exception whose text is a sentence for the reader."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox could not do what was asked; the text says why and what to do."""
