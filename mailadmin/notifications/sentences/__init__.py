"""What the app says: of notices, of deliveries, of what cannot be saved.

One catalogue for the page, mail, webhook, command line and JSON alike.
"""

from mailadmin.notifications.sentences.notices import say_advice, say_over, say_title, say_what
from mailadmin.notifications.sentences.problems import PROBLEMS, say_problem
from mailadmin.notifications.sentences.results import (
    RESULTS,
    say_result,
    status_state,
    status_words,
)

__all__ = [
    "PROBLEMS",
    "RESULTS",
    "say_advice",
    "say_over",
    "say_problem",
    "say_result",
    "say_title",
    "say_what",
    "status_state",
    "status_words",
]
