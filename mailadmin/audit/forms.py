"""The filters of the log, read from the address bar."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mailadmin.audit.models import Outcome
from mailadmin.audit.selectors import EventFilter
from mailadmin.audit.sentences import OBJECTS, VERBS

_MAX = 150


def _select(choices: list[tuple[str, Any]]) -> forms.Select:
    return forms.Select(attrs={"class": "form-select"}, choices=choices)


def _date_input() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"class": "form-control", "type": "date"})


class EventFilterForm(forms.Form):
    """Free text behind each list: a link may name a person or verb that is not in it any more."""

    text = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=_MAX,
        widget=forms.TextInput(
            attrs={
                "class": "form-control",
                "type": "search",
                "data-search": "",
                "placeholder": _("Name, object, reason, address, request"),
            }
        ),
    )
    person = forms.CharField(label=_("Person"), required=False, max_length=_MAX)
    verb = forms.CharField(
        label=_("What"),
        required=False,
        max_length=_MAX,
        widget=_select([("", _("anything")), *VERBS.items()]),
    )
    object_type = forms.CharField(
        label=_("Object"),
        required=False,
        max_length=_MAX,
        widget=_select([("", _("any")), *OBJECTS.items()]),
    )
    object_id = forms.CharField(required=False, max_length=_MAX, widget=forms.HiddenInput)
    outcome = forms.CharField(
        label=_("Outcome"),
        required=False,
        max_length=_MAX,
        widget=_select([("", _("any")), *Outcome.choices]),
    )
    since = forms.DateField(label=_("From day"), required=False, widget=_date_input())
    until = forms.DateField(label=_("To day"), required=False, widget=_date_input())

    def __init__(self, *args: Any, people: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names: list[tuple[str, Any]] = [(name, name) for name in people]
        self.fields["person"].widget = _select([("", _("anybody")), *names])

    def event_filter(self) -> EventFilter:
        """Return the conditions; one that makes no sense is left out and its field says so."""
        self.is_valid()
        return EventFilter(**{name: value for name, value in self.cleaned_data.items() if value})
