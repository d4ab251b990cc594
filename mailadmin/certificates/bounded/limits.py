"""How much one upload may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use, all of its answers together.

    ``seconds`` is how long it may work on them: of a processor, which on a machine that has one
    free is time on the wall. On one that has none ``patience_seconds`` pass on the wall, and
    ``start_seconds`` until it is ready: how busy the machine is says nothing of what is read.
    """

    # With its start, and the page around it, all is answered within two.
    seconds: float = 1.5
    patience_seconds: float = 10.0
    start_seconds: float = 20.0
    memory_mib: int = 1024  # of address space; scrypt is given half of it
    answer_mib: int = 32  # of JSON: 1 MiB of uploads is answered in a fifth of it

    @property
    def processor_seconds(self) -> int:
        """Where the kernel ends it: up to a second more than for its answers, for its start."""
        return int(self.seconds) + 1


LIMITS = Limits()
