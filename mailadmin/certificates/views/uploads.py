"""The upload: whatever people have, a password if it needs one, a verdict, and then *Save*.

What was uploaded waits between these steps as a sealed upload, see
:mod:`mailadmin.certificates.sealed_uploads`; pages and sessions only hold its token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from mailadmin.accounts.mixins import ChangeRequiredMixin
from mailadmin.accounts.models import User
from mailadmin.audit.actors import Actor
from mailadmin.certificates import services
from mailadmin.certificates.authorities import find_unknown_root
from mailadmin.certificates.bounded import BoundedReader
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.fetching_issuers import find_offer
from mailadmin.certificates.forms.uploads import PredecessorChoice, UploadForm
from mailadmin.certificates.judging import (
    PASSWORD_CODES,
    WRONG_PASSWORD_CODES,
    judge_parts,
    judge_upload,
)
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.proposing import propose
from mailadmin.certificates.sealed_uploads import (
    KeptUpload,
    UploadGoneError,
    drop_upload,
    open_upload,
    seal_upload,
)
from mailadmin.certificates.sentences import say
from mailadmin.certificates.services import Stored, StoreResult
from mailadmin.certificates.succession import GUESSED
from mailadmin.certificates.verdicts import describe_verdict, draw_chain, weak_key_sentences
from mailadmin.certificates.views.adding import use_url
from mailadmin.pki.bundle import Parts, Verdict
from mailadmin.pki.keys import private_key_to_pem
from mailadmin.pki.problems import Problem

_KIB = 1024


@method_decorator(sensitive_post_parameters("pasted", "password", "token"), name="dispatch")
class UploadView(ChangeRequiredMixin, View):
    """Reads an upload and answers with a question, a verdict, or the stored certificate."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for files."""
        return self._ask(request, UploadForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Take the next step, or say why there is none."""
        if is_too_large(request):
            return self._ask(request, UploadForm(), [too_large()], status=413)
        form = UploadForm(request.POST, request.FILES)
        if not form.is_valid():
            # The page that asks for files has no place of its own for this field.
            is_hidden = "predecessor" in form.errors
            said = [Problem("succession.not_offered")] if is_hidden else []
            return self._ask(request, form, said)
        try:
            return self._take_step(request, form)
        except UploadGoneError:
            return self._ask(request, UploadForm(), [Problem("upload.gone")])
        except CustodyProblem as error:
            return self._ask(request, UploadForm(), [error.problem])

    @sensitive_variables()
    def _take_step(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        now, user = timezone.now(), person_of(request)
        token: str = form.cleaned_data["token"]
        kept = open_upload(user=user, token=token, now=now) if token else KeptUpload()
        if token and "save" in request.POST:
            return self._save(request, form, kept, now)
        # What is new comes first, so that its parts are counted as the person sees them.
        given = (*(part.content for part in form.given), *kept.given)
        password: str | None = form.cleaned_data["password"] or None
        with BoundedReader() as reader:
            parts = reader.read_parts(given, password, written=kept.written)
            question = next((item for item in parts.problems if item.code in PASSWORD_CODES), None)
            if question is not None:
                token = _keep(user, token, KeptUpload(given, kept.written), now)
                return self._ask_password(request, question, token)
            verdict = judge_parts(parts, reader, now=now)
        token = _keep(user, token, _write_parts(parts), now)
        names = [part.name for part in form.given]
        chosen: str = form.cleaned_data["predecessor"]
        return show_verdict(request, verdict, token, now, part_names=names, predecessor=chosen)

    @sensitive_variables()
    def _save(
        self, request: HttpRequest, form: UploadForm, kept: KeptUpload, now: datetime
    ) -> HttpResponse:
        token: str = form.cleaned_data["token"]
        verdict = judge_upload(kept.given, now=now, written=kept.written)
        chosen: str = form.cleaned_data["predecessor"]
        try:
            proposal = propose(verdict, now, chosen)
            stored = services.store_certificate(
                actor=Actor.from_request(request),
                verdict=verdict,
                is_confirmed=form.cleaned_data["is_confirmed"],
                predecessor=proposal.chosen if proposal else GUESSED,
            )
        except CertificateRefusedError as error:
            return show_verdict(
                request, verdict, token, now, refusals=error.problems, predecessor=chosen
            )
        drop_upload(user=person_of(request), token=token)
        messages.success(request, _stored_words(stored))
        return redirect(use_url(stored.certificate))

    def _ask(
        self,
        request: HttpRequest,
        form: UploadForm,
        problems: Iterable[Problem] = (),
        status: int = 200,
    ) -> HttpResponse:
        context = {"form": form, "problems": problems}
        return render(request, "certificates/upload.html", context, status=status)

    def _ask_password(self, request: HttpRequest, question: Problem, token: str) -> HttpResponse:
        context = {
            "form": UploadForm(initial={"token": token}),
            "token": token,
            "question": say(question),
            "is_repeated": question.code in WRONG_PASSWORD_CODES,
        }
        return render(request, "certificates/upload_password.html", context)


def show_verdict(
    request: HttpRequest,
    verdict: Verdict,
    token: str,
    now: datetime,
    *,
    refusals: Iterable[Problem] = (),
    part_names: Sequence[str] = (),
    predecessor: str = "",
) -> HttpResponse:
    """Show what an upload is worth, what can be done about what it lacks, and what it replaces."""
    problems = list(refusals)
    try:
        proposal = propose(verdict, now, predecessor)
    except CertificateRefusedError as error:
        problems += [problem for problem in error.problems if problem not in problems]
        proposal = propose(verdict, now)
    context = {
        "verdict": verdict,
        "sentences": [*describe_verdict(verdict, now), *weak_key_sentences(verdict)],
        "links": draw_chain(verdict),
        "token": token,
        "form": UploadForm(),
        "part_names": part_names if _names_a_part(verdict) else (),
        "refusals": [problem for problem in problems if problem not in verdict.problems],
        "offer": find_offer(verdict),
        "unknown_root": find_unknown_root(verdict),
        "proposal": proposal,
        "choices": PredecessorChoice.of(proposal) if proposal else (),
    }
    return render(request, "certificates/verdict.html", context)


def _names_a_part(verdict: Verdict) -> bool:
    """Tell whether a sentence speaks of "part 2", so that it must be told which one that is."""
    return any("part" in problem.params for problem in verdict.problems)


def _keep(user: User, token: str, kept: KeptUpload, now: datetime) -> str:
    """Keep an upload in place of an earlier one, and return its token; none for nothing."""
    if token:
        drop_upload(user=user, token=token)
    return seal_upload(user=user, kept=kept, now=now) if kept else ""


def _write_parts(parts: Parts) -> KeptUpload:
    """Write what was understood in its plainest form, so that no password is needed again."""
    certificates = (facts.pem.encode() for facts in parts.certificates)
    keys = (private_key_to_pem(key) for key in parts.private_keys)
    return KeptUpload(written=(*certificates, *keys))


def is_too_large(request: HttpRequest) -> bool:
    """Tell whether the upload handler took no files because the whole was too much."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return True
    return length > settings.FILE_UPLOAD_MAX_MEMORY_SIZE


def too_large() -> Problem:
    """Return what to say then."""
    limit = settings.FILE_UPLOAD_MAX_MEMORY_SIZE // _KIB
    return Problem("upload.too_large", params={"limit": limit})


def person_of(request: HttpRequest) -> User:
    """Return who is logged in."""
    if not isinstance(request.user, User):
        raise TypeError("the login middleware lets nobody else in")
    return request.user


def _stored_words(stored: Stored) -> str:
    words = {
        StoreResult.ADDED: _("The certificate %(label)s was saved."),
        StoreResult.RESTORED: _("The certificate %(label)s had been deleted and is back."),
        StoreResult.COMPLETED: _(
            "The certificate %(label)s was here already; what it lacked was added."
        ),
        StoreResult.KNOWN: _("The certificate %(label)s was here already; nothing changed."),
    }[stored.result]
    said = words % {"label": stored.certificate.label}
    if stored.csr is not None:
        said += " " + _("It answers the request for %(name)s.") % {"name": stored.csr}
    return said
