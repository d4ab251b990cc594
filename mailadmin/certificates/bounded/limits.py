"""How much one upload may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use, all of its answers together.

    ``seconds`` is time on the wall while it works on an answer; ``start_seconds`` is what it may
    take to be ready, which depends on how busy the machine is and not on what is read.
    """

    # With its start, and the page around it, all is answered within two.
    seconds: float = 1.5
    start_seconds: float = 20.0
    memory_mib: int = 1024  # of address space; scrypt is given half of it
    answer_mib: int = 32  # of JSON: 1 MiB of uploads is answered in a fifth of it

    @property
    def processor_seconds(self) -> int:
        """How much of a processor's time; a second more than on the wall, for its start."""
        return int(self.seconds) + 1


LIMITS = Limits()
