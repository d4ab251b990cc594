"""The filters of the list, a tag, and the certificate that another one replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from mailadmin.certificates.listing import ListFilter, Shown
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.tagging import LONGEST_TAG

_LONGEST_SEARCH = 253
SHOWN_WORDS = {
    Shown.ALL: _("all"),
    Shown.IN_USE: _("in use"),
    Shown.SPARE: _("spare"),
    Shown.EXPIRED: _("expired"),
    Shown.DELETED: _("deleted"),
}


def parse_filter(query: QueryDict) -> ListFilter:
    """Return what the address bar asks for; what makes no sense is left out."""
    shown = query.get("show", "")
    return ListFilter(
        # No name has a NUL, and PostgreSQL refuses to look for one.
        text=query.get("q", "").replace("\0", "").strip()[:_LONGEST_SEARCH],
        shown=Shown(shown) if shown in set(Shown) else Shown.ALL,
        tag=query.get("tag", "").replace("\0", "").strip()[:LONGEST_TAG],
    )


class TagForm(forms.Form):
    """One tag, typed."""

    tag = forms.CharField(label=_("Tag"), max_length=100)


class PredecessorForm(forms.Form):
    """The certificate that this one took the place of."""

    predecessor = forms.TypedChoiceField(
        label=_("It replaces"),
        required=False,
        coerce=int,
        empty_value=None,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, candidates: Iterable[Certificate], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["predecessor"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells the type
        self.rows = {row.pk: row for row in candidates}
        field.choices = [("", _("no other certificate")), *map(_choice, self.rows.values())]

    @property
    def chosen(self) -> Certificate | None:
        """The certificate that was chosen."""
        pk: int | None = self.cleaned_data["predecessor"]
        return self.rows[pk] if pk else None


def _choice(row: Certificate) -> tuple[int, str]:
    issuer = row.issuer_name or _("signed by itself")
    days = f"{row.not_before:%Y-%m-%d} to {row.not_after:%Y-%m-%d}"
    gone = f" ({_('deleted')})" if row.deleted_at else ""
    return row.pk, f"{row.label}, {issuer}, {row.key_description}, {days}{gone}"
