"""The engine: what workers do with accounts, looks, orders and the calendar."""

from mailadmin.acme.runner.accounts import run_errand
from mailadmin.acme.runner.deploying import is_served, note_what_is_served
from mailadmin.acme.runner.ordering import advance_order, clean_up_order
from mailadmin.acme.runner.preflighting import run_preflight
from mailadmin.acme.runner.scheduling import ask_for_renewal_info, order_due, rehearse_due

__all__ = [
    "advance_order",
    "ask_for_renewal_info",
    "clean_up_order",
    "is_served",
    "note_what_is_served",
    "order_due",
    "rehearse_due",
    "run_errand",
    "run_preflight",
]
