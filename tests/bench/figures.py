"""Times of many runs, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """What was measured, in seconds."""

    name: str
    seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        self.seconds.append(seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """Return the smallest time that 95 % of the runs did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


def print_figures(title: str, rows: Sequence[Figures]) -> None:
    """Print one line for each row: median, p95, worst, in milliseconds."""
    print(f"\n{title}")
    print(f"  {'':48} {'runs':>5} {'median':>9} {'p95':>9} {'worst':>9}")
    for row in rows:
        times = (row.median, row.p95, max(row.seconds))
        shown = " ".join(f"{value * 1000:6.0f} ms" for value in times)
        print(f"  {row.name:48} {len(row.seconds):5} {shown}")
