"""What the settings of a mail server mean, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.sentences import say
from mailadmin.pki.problems import Problem

_PROFILES: dict[str, Promise] = {
    "intermediate": _("TLS 1.2 and 1.3"),
    "modern": _("TLS 1.3 only"),
    "kept": _("As the mail server’s own files say"),
}

_PROFILE_ADVICE: dict[str, Promise] = {
    "intermediate": _(
        "For nearly everybody: every mail program and server of the last ten years can connect, "
        "and only with strong ciphers."
    ),
    "modern": _(
        "Strictest: programs and servers that know no TLS 1.3 (before about 2018) cannot connect. "
        "Some mail servers then deliver to port 25 without encryption."
    ),
    "kept": _(
        "For a server that was set up by hand or by another program: versions and ciphers stay as "
        "they are, and the panel writes only what differs from the server’s own files."
    ),
}


def profile_words(name: str) -> str:
    """Return a TLS profile in words; the bare name if there is no such profile any more."""
    return str(_PROFILES.get(name, name))


def profile_advice(name: str) -> str:
    """Return what a TLS profile means for those who connect."""
    return str(_PROFILE_ADVICE.get(name, ""))


# %(subject)s is what the problem is about; the rest are its parameters.
SERVER_PROBLEMS: dict[str, Promise] = {
    "profile.unknown": _("There is no TLS profile called “%(subject)s”. Choose another one."),
    "certificate.deleted": _(
        "The certificate %(label)s was deleted and its key destroyed, so it cannot be served. "
        "Choose another one."
    ),
}


def say_problem(problem: Problem) -> str:
    """Return a problem of a server as a sentence; those of names are the certificates' app's."""
    sentence = SERVER_PROBLEMS.get(problem.code)
    if sentence is None:
        return say(problem)
    return str(sentence) % {"subject": problem.subject, **problem.params}
