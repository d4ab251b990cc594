"""Measure what people wait for: ``make bench`` or ``python -m tests.bench --runs 20``."""

from __future__ import annotations

import argparse

from tests.bench.applying import measure_applying
from tests.bench.figures import print_figures
from tests.bench.issuing import measure_issuing
from tests.bench.pages import measure_pages, print_pages
from tests.bench.queueing import measure_queueing


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="applies of each kind (12 s a pair)")
    parser.add_argument("--deployments", type=int, default=6, help="through the queue (8 s each)")
    parser.add_argument("--orders", type=int, default=6, help="by ACME (15 s a pair)")
    chosen = parser.parse_args()
    print_pages(measure_pages())
    figures = measure_applying(chosen.runs)
    print_figures("A new default certificate on Postfix and Dovecot", figures)
    print(f"  ours to proof / floor: {figures[0].median / figures[2].median:.1f} x (median)")
    print_figures("Through Redis and Celery", measure_queueing(chosen.deployments))
    print_figures("A certificate by ACME, from Pebble", measure_issuing(chosen.orders))


if __name__ == "__main__":
    main()
