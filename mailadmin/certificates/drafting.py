"""Files that are replaced at once: a reader sees the old one or the new one, and both whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft_beside(target: Path) -> Iterator[Path]:
    """Yield where to write what shall replace the target, in its folder, which is made.

    It is for the caller to put it in place; what is left lying is taken away. Raises ``OSError``.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
