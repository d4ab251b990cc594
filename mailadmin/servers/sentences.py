"""What the settings of a mail server mean, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_PROFILES: dict[str, Promise] = {
    "intermediate": _("TLS 1.2 and 1.3"),
    "modern": _("TLS 1.3 only"),
}

PROFILE_ADVICE: dict[str, Promise] = {
    "intermediate": _(
        "For nearly everybody: every mail program and server of the last ten years can connect, "
        "and only with strong ciphers."
    ),
    "modern": _(
        "Strictest: programs and servers that know no TLS 1.3 (before about 2018) cannot connect. "
        "Some mail servers then deliver to port 25 without encryption."
    ),
}


def profile_words(name: str) -> str:
    """Return a TLS profile in words; the bare name if there is no such profile any more."""
    return str(_PROFILES.get(name, name))
