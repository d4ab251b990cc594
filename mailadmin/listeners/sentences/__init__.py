"""What changes, problems and settings of listeners mean, in plain words.

One catalogue for the web, the command line, JSON and e-mail alike.
"""

from mailadmin.listeners.sentences.changes import CHANGES, say_change, say_deed
from mailadmin.listeners.sentences.deeds import DEEDS
from mailadmin.listeners.sentences.problems import PROBLEMS, say_problem
from mailadmin.listeners.sentences.words import (
    address_words,
    advise,
    effect_words,
    key_words,
    login_words,
    service_words,
    subject_words,
    tls_mode_help,
    tls_mode_words,
)

__all__ = [
    "CHANGES",
    "DEEDS",
    "PROBLEMS",
    "address_words",
    "advise",
    "effect_words",
    "key_words",
    "login_words",
    "say_change",
    "say_deed",
    "say_problem",
    "service_words",
    "subject_words",
    "tls_mode_help",
    "tls_mode_words",
]
