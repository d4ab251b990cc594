"""The fields that every form for a new certificate has: its names, and the kind of its key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.sentences import say
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.names import NameProblem, normalize_san
from mailadmin.pki.problems import Problem
from mailadmin.pki.x509_fields import MAX_NAMES

_LONGEST_LIST = 30_000  # characters: the most names, each of the greatest length
_NAMES_COMPLAINED_OF = 5
_SEPARATORS = re.compile(r"[\s,;]+")

KEY_CHOICES = [
    (
        KeyKind.ECDSA_P256,
        _("ECDSA P-256: small and fast, known to every mail program of the last ten years"),
    ),
    (
        KeyKind.ECDSA_P384,
        _("ECDSA P-384: larger; take it only where a rule asks for it"),
    ),
    (
        KeyKind.RSA_3072,
        _("RSA 3072: for very old devices, and strong enough for the years after 2030"),
    ),
    (
        KeyKind.RSA_2048,
        _("RSA 2048: the least that is accepted; some guidelines already phase it out"),
    ),
    (
        KeyKind.RSA_4096,
        _("RSA 4096: each login costs several times more, and gains little over 3072"),
    ),
]


def split_names(text: str) -> list[str]:
    """Return the names of a list typed by a person: one per line, or parted by commas or blanks."""
    return [name for name in _SEPARATORS.split(text) if name]


def normalize_names(names: Iterable[str]) -> list[str]:
    """Return the names as certificates hold them, each once.

    Raises ``ValidationError`` with one sentence per name that cannot be used.
    """
    typed = list(dict.fromkeys(names))
    if len(typed) > MAX_NAMES:
        params = {"count": len(typed), "limit": MAX_NAMES}
        raise forms.ValidationError(say(Problem("name.too_many", params=params)))
    good: list[str] = []
    complaints: list[str] = []
    for name in typed:
        try:
            good.append(normalize_san(name))
        except NameProblem as error:
            complaints.append(say(error.problem))
    if complaints:
        raise forms.ValidationError(complaints[:_NAMES_COMPLAINED_OF])
    return list(dict.fromkeys(good))


class NamesField(forms.CharField):
    """A text box for host names, wildcards and IP addresses; cleans to a list of A-labels."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", _LONGEST_LIST)
        super().__init__(**kwargs)
        self.widget.attrs |= {"rows": 4, "spellcheck": "false", "autocapitalize": "none"}

    def clean(self, value: Any) -> list[str]:
        """Check and normalise every name."""
        return normalize_names(split_names(super().clean(value)))


class KeyKindField(forms.TypedChoiceField):
    """Which kind of key to draw."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Key"),
            choices=KEY_CHOICES,
            coerce=KeyKind,
            initial=KeyKind.ECDSA_P256,
            widget=forms.RadioSelect,
        )
