"""One sentence for every problem of certificates: what is wrong, and what to do.

The parameters are those of the problem; times are told in UTC and host names in both forms.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from mailadmin.accounts.relative_time import exact_words
from mailadmin.certificates.sentences import (
    certificates,
    chains,
    exporting,
    keys,
    listing,
    names,
    pairs,
    predecessors,
    reading,
    requests,
    trust,
    uploads,
)
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Param, Problem

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    **names.SENTENCES,
    **requests.SENTENCES,
    **keys.SENTENCES,
    **certificates.SENTENCES,
    **chains.SENTENCES,
    **pairs.SENTENCES,
    **predecessors.SENTENCES,
    **uploads.SENTENCES,
    **reading.SENTENCES,
    **trust.SENTENCES,
    **exporting.SENTENCES,
    **listing.SENTENCES,
}

_FIELDS: dict[str, StrPromise] = {
    "common_name": _("Common name"),
    "organization": _("Organization"),
    "organizational_unit": _("Organizational unit"),
    "locality": _("City"),
    "state": _("State or province"),
    "country": _("Country"),
}
_HASHES = {
    "sha1": "SHA-1",
    "md5": "MD5",
    "md2": "MD2",
    "md4": "MD4",
    "sha224": "SHA-224",
}


def say(problem: Problem) -> str:
    """Return the problem as a sentence, or its code if it has none here.

    Another layer may use one of these codes with parameters of its own; that is not ours to say.
    """
    sentence = SENTENCES.get(problem.code)
    if sentence is None:
        return problem.code
    try:
        return sentence % _words(problem)
    except KeyError:
        return problem.code


def _words(problem: Problem) -> dict[str, object]:
    words: dict[str, object] = {name: _word(name, value) for name, value in problem.params.items()}
    if "field" in problem.params:
        field = str(problem.params["field"])
        words["field_words"] = _FIELDS.get(field, field)
    if "fault" in problem.params:
        fault = str(problem.params["fault"])
        words["fault_words"] = certificates.FAULTS.get(fault, fault) % words
    if "kind" in problem.params:
        kind = str(problem.params["kind"])
        words["kind_words"], words["advice"] = uploads.KINDS.get(kind, (kind, ""))
    if "part" in problem.params and "member" in problem.params and problem.code[:4] != "zip.":
        words["part"] = _("%(part)s, file “%(member)s”") % words
    return words


def _word(name: str, value: Param) -> Param:
    """Return a parameter as people read it."""
    if name == "name":
        return both_forms(str(value))
    if name == "names":
        return ", ".join(both_forms(each) for each in str(value).split(", "))
    if name in ("not_before", "not_after", "old_not_after", "created_at"):
        return exact_words(datetime.fromisoformat(str(value)))
    if name == "hash":
        return _HASHES.get(str(value), str(value))
    return value
