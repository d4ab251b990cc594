"""Accounts at authorities."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_POST, require_safe

from mailadmin.accounts.mixins import ChangeRequiredMixin, change_required
from mailadmin.acme import selectors
from mailadmin.acme.forms.accounts import AccountForm, ContactForm
from mailadmin.acme.models import AcmeAccount
from mailadmin.acme.sentences import say
from mailadmin.acme.services import accounts
from mailadmin.audit.actors import Actor
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.issuance.directories import KNOWN_AUTHORITIES
from mailadmin.servers.errors import ChangeRefusedError


@require_safe
def show_accounts(request: HttpRequest) -> HttpResponse:
    """Show the authorities that certificates are had from."""
    return render(request, "acme/accounts.html", {"rows": selectors.list_accounts()})


@require_safe
def show_account(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one account; while an errand is under way the page asks again."""
    account = get_object_or_404(AcmeAccount, pk=pk)
    context = {
        "account": account,
        "contact_form": ContactForm(initial={"contact": account.contact}),
        "budgets": selectors.spent_budgets(timezone.now(), account=account),
        "certificates": list(account.certificates.all()[:50]),
    }
    is_partial = request.headers.get("HX-Request") == "true"
    return render(request, "acme/_account.html" if is_partial else "acme/account.html", context)


class AddView(ChangeRequiredMixin, View):
    """Opens an account."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask which authority, and for agreement to its terms."""
        return self._ask(request, AccountForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the account and have it registered."""
        form = AccountForm(request.POST)
        if not form.is_valid():
            return self._ask(request, form)
        answers = form.cleaned_data
        names = (
            "title",
            "directory_url",
            "staging_url",
            "contact",
            "ca_bundle",
            "eab_key_id",
            "eab_secret",
        )
        try:
            row = accounts.add_account(
                actor=Actor.from_request(request),
                terms_url=answers["directory_url"],
                **{name: answers[name] for name in names},
            )
        except ChangeRefusedError as refused:
            form.add_error("title", [say(problem) for problem in refused.problems])
            return self._ask(request, form)
        except CustodyProblem as error:
            form.add_error(None, say(error.problem))
            return self._ask(request, form)
        return redirect(row)

    def _ask(self, request: HttpRequest, form: AccountForm) -> HttpResponse:
        return render(request, "acme/account_add.html", {"form": form, "known": KNOWN_AUTHORITIES})


class EndView(ChangeRequiredMixin, View):
    """Asks first, then ends an account at the authority, or forgets one that never began."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what that means."""
        account = get_object_or_404(AcmeAccount, pk=pk)
        return render(request, "acme/account_end.html", {"account": account})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do it."""
        account = get_object_or_404(AcmeAccount, pk=pk)
        actor = Actor.from_request(request)
        try:
            if account.status == AcmeAccount.Status.VALID:
                accounts.deactivate_account(actor=actor, account=account)
                return redirect(account)
            accounts.delete_account(actor=actor, account=account)
        except ChangeRefusedError as refused:
            messages.error(request, say(refused.problems[0]))
            return redirect(account)
        messages.success(request, _("The account is forgotten, and its key destroyed."))
        return redirect("acme:accounts")


@change_required
@require_POST
def change_contact(request: HttpRequest, pk: int) -> HttpResponse:
    """Change where the authority writes to."""
    account = get_object_or_404(AcmeAccount, pk=pk)
    form = ContactForm(request.POST)
    if form.is_valid():
        accounts.change_contact(
            actor=Actor.from_request(request),
            account=account,
            contact=form.cleaned_data["contact"],
        )
    else:
        messages.error(request, _("This is no mail address; nothing was changed."))
    return redirect(account)


@change_required
@require_POST
def register(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the authority once more."""
    return _do(request, pk, accounts.register_again)


@change_required
@require_POST
def roll_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the account's key replaced."""
    return _do(request, pk, accounts.roll_key)


def _do(request: HttpRequest, pk: int, service: accounts.Service) -> HttpResponse:
    account = get_object_or_404(AcmeAccount, pk=pk)
    try:
        service(actor=Actor.from_request(request), account=account)
    except ChangeRefusedError as refused:
        messages.error(request, say(refused.problems[0]))
    except CustodyProblem as error:
        messages.error(request, say(error.problem))
    return redirect(account)
