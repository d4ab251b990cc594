"""The Listeners page and its forms: what is shown, who may do what, with and without htmx."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mailadmin.accounts.roles import Role
from mailadmin.audit.models import AuditEvent
from mailadmin.listeners.models import SniBinding
from mailadmin.listeners.selectors import desired_state
from mailadmin.servers.models import MailServer
from tests.server_factories import apply_wanted, make_binding, make_certificate

ClientOf = Callable[[Role | str], Client]
LIST = "/listeners/"
HTMX = {"HX-Request": "true"}
IDN = "mail.xn--bcher-kva.example"


@pytest.fixture
def operator(client_of: ClientOf) -> Client:
    return client_of("operator")


@pytest.fixture
def viewer(client_of: ClientOf) -> Client:
    return client_of("viewer")


def text_of(client: Client, address: str = LIST) -> str:
    return client.get(address).content.decode()


def row_of(page: str, service: str) -> str:
    """Return the HTML of one row of the table."""
    return page.partition(f'<tr id="listener-{service}"')[2].partition("</tr>")[0]


# Who may do what

READ = [(LIST, "get")]
CHANGE = [
    ("/listeners/imap/edit/", "get"),
    ("/listeners/imap/edit/", "post"),
    ("/listeners/imap/switch/", "post"),
    ("/listeners/undo/", "post"),
    ("/listeners/names/", "get"),
    ("/listeners/names/", "post"),
    ("/listeners/names/remove/", "post"),
    ("/listeners/assign/?certificate={pk}", "get"),
    ("/listeners/assign/?certificate={pk}", "post"),
    ("/listeners/put-in-place/?certificate={pk}", "post"),
    ("/listeners/server/", "get"),
    ("/listeners/server/", "post"),
]


@pytest.mark.parametrize(("address", "method"), READ + CHANGE)
def test_without_a_login_every_page_asks_for_one(
    server: MailServer, address: str, method: str
) -> None:
    response = getattr(Client(), method)(address.format(pk=server.default_certificate_id))
    assert response.status_code == 302
    assert "/account/login/" in response["Location"]


@pytest.mark.parametrize(("address", "method"), CHANGE)
def test_a_viewer_changes_nothing(
    server: MailServer, viewer: Client, address: str, method: str
) -> None:
    before = desired_state(server)
    address = address.format(pk=server.default_certificate_id)
    response = getattr(viewer, method)(address, {"is_enabled": "0", "subject": "imap"})
    assert response.status_code == 403
    assert desired_state(server) == before


@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_those_who_may_change_get_every_form(
    server: MailServer, client_of: ClientOf, role: str
) -> None:
    client = client_of(role)
    for address, method in CHANGE:
        if method == "get" and "/names/" not in address:
            got = client.get(address.format(pk=server.default_certificate_id))
            assert got.status_code == 200, address


def test_a_viewer_sees_every_row_and_no_control(server: MailServer, viewer: Client) -> None:
    make_binding(server, IDN, make_certificate(IDN))
    page = text_of(viewer)
    assert page.count('<tr id="listener-') == 8
    main = page.split("<main")[1].split("</main>")[0]
    assert "<form" not in main
    assert "<button" not in main
    assert "mail.bücher.example" in main


@pytest.mark.parametrize("address", ["/listeners/undo/", "/listeners/imap/switch/"])
def test_what_changes_something_is_never_a_link(
    server: MailServer, operator: Client, address: str
) -> None:
    assert operator.get(address).status_code == 405


# The page


def test_a_row_says_in_words_what_is_wanted(server: MailServer, viewer: Client) -> None:
    row = row_of(text_of(viewer), "submissions")
    for words in (
        "Submission with TLS",
        "submissions",
        "*:465",
        "TLS from the first byte",
        "mail.example.org",
        "default",
        "required",
        "closed",
        "mail programs set up today try 465 first",
    ):
        assert words in row


def test_rules_are_shown_beside_their_row_at_once(server: MailServer, operator: Client) -> None:
    server.listeners.filter(service="pop3").update(port=995, tls_mode="none")
    page = text_of(operator)
    assert "would both listen on *:995" in row_of(page, "pop3s")
    assert "will take passwords in clear" in row_of(page, "pop3")
    assert "Neither 465 nor 587 would be open" in row_of(page, "submission")


def test_a_pending_row_is_blue_with_its_sentence_and_undo(
    server: MailServer, operator: Client
) -> None:
    server.listeners.filter(service="submissions").update(is_enabled=True)
    row = row_of(text_of(operator), "submissions")
    assert 'class="is-pending"' in row
    assert "Submission with TLS (465) will be opened." in row
    assert "Undo" in row


def test_before_the_first_apply_there_is_nothing_to_undo(
    server: MailServer, operator: Client
) -> None:
    MailServer.objects.update(applied_state={})
    page = text_of(operator)
    assert "IMAP with TLS (993) will be opened." in page
    assert "Undo" not in page


def test_an_expired_default_certificate_is_told_once_above_the_rows(
    server: MailServer, viewer: Client
) -> None:
    server.default_certificate = make_certificate(not_after=datetime.now(UTC) - timedelta(days=2))
    server.save()
    page = text_of(viewer)
    assert page.count("mail programs would refuse to connect") == 1
    assert (
        ">expired <time" in page.replace("expired  <time", "expired <time")
        or "expired <time" in page
    )


def test_host_names_are_shown_in_both_forms(server: MailServer, viewer: Client) -> None:
    make_binding(server, IDN, make_certificate(IDN))
    assert f"mail.bücher.example ({IDN})" in text_of(viewer)


def test_without_a_server_the_page_says_what_to_do(operator: Client) -> None:
    assert "No mail server yet" in text_of(operator)
    assert operator.get("/listeners/server/").status_code == 404
    assert operator.post("/listeners/imap/switch/", {"is_enabled": "1"}).status_code == 404


def test_names_of_certificates_cannot_put_html_on_the_page(
    server: MailServer, operator: Client
) -> None:
    evil = make_certificate(common_name="<script>alert(1)</script>", names=[])
    server.listeners.filter(service="imaps").update(certificate=evil)
    page = text_of(operator)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_costs_the_same_however_many_rows_there_are(
    server: MailServer, operator: Client
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(LIST).status_code == 200
        return len(captured)

    make_binding(server, "a.example.org", make_certificate())
    few = count()
    for number in range(10):
        make_binding(server, f"m{number}.example.org", make_certificate())
    for row in server.listeners.all():
        row.certificate = make_certificate()
        row.save()
    assert count() == few


# The switch


def test_the_switch_works_without_javascript(server: MailServer, operator: Client) -> None:
    response = operator.post("/listeners/submissions/switch/", {"is_enabled": "1"}, follow=True)
    assert response.redirect_chain == [("/listeners/#listener-submissions", 302)]
    assert "Saved, not applied yet: Submission with TLS (465) will be opened." in (
        response.content.decode()
    )
    assert server.listeners.get(service="submissions").is_enabled
    event = AuditEvent.objects.get(verb="listener.enabled")
    assert event.origin == "web"


def test_with_htmx_the_switch_swaps_what_it_can_touch(server: MailServer, operator: Client) -> None:
    response = operator.post(
        "/listeners/submissions/switch/", {"is_enabled": "1", "editing": ["", "pop3"]}, headers=HTMX
    )
    page = response.content.decode()
    assert 'class="is-pending"' in row_of(page, "submissions")
    assert page.count('hx-swap-oob="true"') == 7 + 4
    assert "listener-pop3s" in page
    assert 'id="listener-pop3"' not in page
    for part in ("said", "general", "name-rows", "pending"):
        assert f'id="{part}"' in page
    assert "<html" not in page


def test_pressing_a_stale_switch_twice_is_harmless(server: MailServer, operator: Client) -> None:
    for _ in range(2):
        operator.post("/listeners/imap/switch/", {"is_enabled": "0"})
    assert AuditEvent.objects.filter(verb="listener.disabled").count() == 1


def test_a_switch_that_does_not_say_what_it_wants_is_refused(
    server: MailServer, operator: Client
) -> None:
    assert operator.post("/listeners/imap/switch/").status_code == 400
    assert server.listeners.get(service="imap").is_enabled


def test_an_unknown_service_is_not_found(server: MailServer, operator: Client) -> None:
    for address in ("/listeners/gopher/switch/", "/listeners/gopher/edit/"):
        assert operator.post(address, {"is_enabled": "1"}).status_code == 404
    assert operator.get("/listeners/gopher/").status_code == 404


# Editing


def submitted(service: str, **values: object) -> dict[str, object]:
    return {f"{service}-{name}": value for name, value in values.items()}


def test_editing_saves_and_says_what_is_pending(server: MailServer, operator: Client) -> None:
    own = make_certificate("imap.example.org")
    response = operator.post(
        "/listeners/imap/edit/",
        submitted("imap", address="192.0.2.1", port=1143, tls_mode="none", certificate=own.pk),
        follow=True,
    )
    assert "IMAP will move from *:143 to 192.0.2.1:1143." in response.content.decode()
    row = server.listeners.get(service="imap")
    assert (row.address, row.port, row.tls_mode, row.certificate) == (
        "192.0.2.1",
        1143,
        "none",
        own,
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"port": 0}, "Port 0 does not exist"),
        ({"port": 70000}, "Port 70000 does not exist"),
        ({"address": "mail"}, "“mail” is not an IP address"),
        ({"tls_mode": "implicit"}, "implicit"),
        ({"certificate": 999999}, "Select a valid choice"),
    ],
)
def test_nonsense_is_a_field_error_and_not_stored(
    server: MailServer, operator: Client, values: dict[str, object], sentence: str
) -> None:
    before = desired_state(server)
    good = {"address": "*", "port": 143, "tls_mode": "starttls", "certificate": ""}
    page = operator.post("/listeners/imap/edit/", submitted("imap", **{**good, **values}))
    assert page.status_code == 200
    assert sentence in page.content.decode()
    assert "invalid-feedback" in page.content.decode()
    assert desired_state(server) == before


def test_a_service_with_one_answer_is_not_asked(server: MailServer, operator: Client) -> None:
    imaps = text_of(operator, "/listeners/imaps/edit/")
    assert "imaps-tls_mode" not in imaps
    assert "imaps-is_login_required" not in imaps
    assert "submission-is_login_required" in text_of(operator, "/listeners/submission/edit/")


def test_dropping_the_login_is_saved_and_called_an_error(
    server: MailServer, operator: Client
) -> None:
    server.listeners.filter(service="submission").update(is_enabled=True)
    values = submitted("submission", address="*", port=587, tls_mode="starttls", certificate="")
    response = operator.post("/listeners/submission/edit/", values, follow=True)
    assert not server.listeners.get(service="submission").is_login_required
    assert "without logging in" in row_of(response.content.decode(), "submission")


def test_deleted_certificates_are_not_offered(server: MailServer, operator: Client) -> None:
    gone = make_certificate("gone.example.org", deleted_at=datetime.now(UTC))
    assert "gone.example.org" not in text_of(operator, "/listeners/imap/edit/")
    values = submitted("imap", address="*", port=143, tls_mode="starttls", certificate=gone.pk)
    page = operator.post("/listeners/imap/edit/", values)
    assert "Select a valid choice" in page.content.decode()


def test_a_certificate_deleted_while_the_form_was_sent_is_refused_in_words(
    server: MailServer, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = make_certificate("gone.example.org", deleted_at=datetime.now(UTC))
    monkeypatch.setattr("mailadmin.listeners.views.assignable_certificates", type(gone).objects.all)
    values = submitted("imap", address="*", port=143, tls_mode="starttls", certificate=gone.pk)
    page = operator.post("/listeners/imap/edit/", values)
    assert "was deleted and its key destroyed" in page.content.decode()


def test_with_htmx_editing_opens_and_closes_in_place(server: MailServer, operator: Client) -> None:
    opened = operator.get("/listeners/imap/edit/", headers=HTMX)
    page = opened.content.decode()
    assert "<html" not in page
    assert '<tr id="edit-imap"' in page
    assert 'name="editing" value="imap"' in page
    assert "HX-Request" in opened["Vary"]
    closed = operator.get("/listeners/imap/", headers=HTMX).content.decode()
    assert '<tr id="listener-imap"' in closed
    assert "hx-swap-oob" not in closed
    assert operator.get("/listeners/imap/")["Location"] == "/listeners/#listener-imap"


def test_with_htmx_saving_puts_the_row_back(server: MailServer, operator: Client) -> None:
    values = submitted("imap", address="*", port=1143, tls_mode="starttls", certificate="")
    response = operator.post(
        "/listeners/imap/edit/", {**values, "editing": ["", "imap"]}, headers=HTMX
    )
    page = response.content.decode().lstrip()
    assert page.startswith('<tr id="listener-imap" class="is-pending">')
    assert "IMAP will move from *:143 to *:1143." in page
    assert page.count('hx-swap-oob="true"') == 7 + 4


def test_with_htmx_an_error_stays_in_the_row(server: MailServer, operator: Client) -> None:
    values = submitted("imap", address="x", port=143, tls_mode="starttls", certificate="")
    page = operator.post("/listeners/imap/edit/", values, headers=HTMX).content.decode()
    assert '<tr id="edit-imap"' in page
    assert "“x” is not an IP address" in page


# Undo


def test_undo_puts_a_row_back_and_returns_to_the_page_it_came_from(
    server: MailServer, operator: Client
) -> None:
    server.listeners.filter(service="imap").update(is_enabled=False)
    response = operator.post("/listeners/undo/", {"subject": "imap", "next": "/account/password/"})
    assert response["Location"] == "/account/password/"
    assert server.listeners.get(service="imap").is_enabled
    assert AuditEvent.objects.get(verb="change.undone")


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_undo_never_leads_to_another_site(server: MailServer, operator: Client, back: str) -> None:
    response = operator.post("/listeners/undo/", {"subject": "imap", "next": back})
    assert response["Location"].startswith(LIST)


def test_undo_that_is_refused_says_why(server: MailServer, operator: Client) -> None:
    MailServer.objects.update(applied_state={})
    page = operator.post("/listeners/undo/", {"subject": "imap"}, follow=True).content.decode()
    assert "Nothing has been applied yet" in page
    page = operator.post("/listeners/undo/", {"subject": "imap"}, headers=HTMX).content.decode()
    assert "note-error" in page
    assert "Nothing has been applied yet" in page


# Host names


def name_values(host_name: str, pk: int | str) -> dict[str, object]:
    return {"name-host_name": host_name, "name-certificate": pk}


def test_a_host_name_is_added_and_removed(server: MailServer, operator: Client) -> None:
    own = make_certificate(IDN)
    response = operator.post(
        "/listeners/names/", name_values("Mail.Bücher.example", own.pk), follow=True
    )
    page = response.content.decode()
    assert f"Clients that ask for mail.bücher.example ({IDN}) will be shown" in page
    assert SniBinding.objects.get().host_name == IDN
    operator.post("/listeners/names/remove/", {"host_name": IDN})
    assert not SniBinding.objects.exists()
    verbs = list(AuditEvent.objects.values_list("verb", flat=True).filter(object_type="name"))
    assert verbs == ["name.unbound", "name.bound"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("", "This field is required"), ("*.example.org", "wildcard"), ("a b", "not a host name")],
)
def test_a_bad_host_name_keeps_the_page_and_what_was_typed(
    server: MailServer, operator: Client, typed: str, sentence: str
) -> None:
    page = operator.post("/listeners/names/", name_values(typed, ""))
    text = page.content.decode()
    assert page.status_code == 200
    assert sentence in text
    assert '<tr id="listener-smtp"' in text
    assert not SniBinding.objects.exists()
    htmx = operator.post("/listeners/names/", name_values(typed, ""), headers=HTMX)
    assert sentence in htmx.content.decode()
    assert '<tr id="listener-smtp"' not in htmx.content.decode()


def test_with_htmx_a_new_name_comes_with_an_empty_form(
    server: MailServer, operator: Client
) -> None:
    values = name_values("b.example.org", make_certificate().pk)
    page = operator.post("/listeners/names/", values, headers=HTMX).content.decode().lstrip()
    assert page.startswith('<form method="post" id="name-form"')
    assert "does not cover b.example.org" in page
    assert 'value="b.example.org"' not in page.split("</form>")[0]


def test_a_removed_name_can_be_undone(server: MailServer, operator: Client) -> None:
    make_binding(server, IDN, make_certificate(IDN))
    apply_wanted(server)
    operator.post("/listeners/names/remove/", {"host_name": IDN})
    assert "to be removed" in text_of(operator)
    operator.post("/listeners/undo/", {"subject": IDN})
    assert SniBinding.objects.get().host_name == IDN


def test_the_address_of_the_names_leads_to_their_section(
    server: MailServer, operator: Client
) -> None:
    assert operator.get("/listeners/names/")["Location"] == "/listeners/#names"


# What to use a certificate for


def assign_address(pk: object) -> str:
    return f"/listeners/assign/?certificate={pk}"


def test_assigning_marks_what_fits_and_leads_to_review(
    server: MailServer, operator: Client
) -> None:
    new = make_certificate("mail.example.org", "imap.example.org")
    page = text_of(operator, assign_address(new.pk))
    assert 'name="as_default"' in page
    default = page.split('name="as_default"')[1].split(">")[0]
    assert "checked" in default
    response = operator.post(
        assign_address(new.pk),
        {"as_default": "on", "services": ["imaps"], "host_names": ["imap.example.org"]},
    )
    assert response["Location"] == reverse("deployments:review")
    server.refresh_from_db()
    assert server.default_certificate == new
    assert server.listeners.get(service="imaps").certificate == new
    assert AuditEvent.objects.get(verb="certificate.assigned").object_label == "mail.example.org"


@pytest.mark.parametrize(
    "values", [{}, {"services": ["gopher"]}, {"host_names": ["other.example.org"]}]
)
def test_assigning_to_nothing_or_to_what_is_not_offered_is_refused(
    server: MailServer, operator: Client, values: dict[str, list[str]]
) -> None:
    new, before = make_certificate(), desired_state(server)
    response = operator.post(assign_address(new.pk), values)
    assert response.status_code == 200
    assert "Choose at least one use" in response.content.decode() or (
        "Select a valid choice" in response.content.decode()
    )
    assert desired_state(server) == before


def test_a_certificate_in_use_is_not_asked_about_again(
    server: MailServer, operator: Client
) -> None:
    page = text_of(operator, assign_address(server.default_certificate_id))
    assert 'name="as_default"' not in page
    assert "already used wherever its names fit" in page


@pytest.mark.parametrize("pk", ["", "x", "999999", "\u0661"])
def test_a_certificate_that_is_not_here_cannot_be_assigned(
    server: MailServer, operator: Client, pk: str
) -> None:
    assert operator.get(assign_address(pk)).status_code == 404


def test_a_deleted_certificate_has_no_assign_page(server: MailServer, operator: Client) -> None:
    gone = make_certificate(deleted_at=datetime.now(UTC))
    assert operator.get(assign_address(gone.pk)).status_code == 404
