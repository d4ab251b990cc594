"""Sentences for tags and for what replaced what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    "tag.invalid": _(
        "A tag has at most %(limit)s letters (a to z), digits, dots and dashes, and begins with a "
        "letter or digit. Nothing was changed."
    ),
    "tag.too_many": _(
        "A certificate has at most %(limit)s tags. Take one away first; nothing was changed."
    ),
    "succession.circle": _(
        "%(label)s replaced this certificate itself, directly or through others, so it cannot be "
        "what this one replaced. Nothing was changed."
    ),
}
