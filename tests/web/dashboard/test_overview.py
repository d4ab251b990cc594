"""The overview: one sentence first, then what every port should serve and what it serves."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailadmin.acme.models import AcmeOrder
from mailadmin.deployments import tasks
from mailadmin.deployments.models import Deployment, ProbeRun
from mailadmin.listeners.selectors import desired_state
from mailadmin.servers.models import MailServer
from tests.acme_factories import make_acme_certificate, make_order
from tests.deployment_factories import (
    agent_away,
    make_deployment,
    make_look,
    make_unanswered_look,
    shown_certificate,
)
from tests.elapsed import tells_seconds
from tests.server_factories import apply_wanted, make_binding, make_certificate, make_server

ClientOf = Callable[[str], Client]
CLOSED = {
    "is_open": False,
    "error": "probe.closed",
    "error_text": "Connection refused",
    "tls_version": "",
    "fingerprint": "",
    "certificate": {},
}


@pytest.fixture
def server(db: None) -> MailServer:
    """Five ports are open, as Debian installs Postfix and Dovecot."""
    return make_server()


@pytest.fixture
def operator_page(client_of: ClientOf) -> Client:
    return client_of("operator")


def _text(client: Client, address: str = "/", **options: Any) -> str:
    answer = client.get(address, **options)
    assert answer.status_code == 200
    return answer.content.decode()


def _row(page: str, service: str) -> str:
    """Return the part of the page about one service, with what is said about it."""
    begin = page.index(f'<tr id="row-{service}"')
    return page[begin : page.index('<tr class="row-detail"', begin)]


def _cells(row: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", row).split())


def _expired(server: MailServer) -> dict[str, Any]:
    """Return what a port shows that serves an old certificate."""
    ended = timezone.now() - timedelta(days=2, minutes=1)
    old = shown_certificate(desired_state(server), "ab" * 32, not_after=ended.isoformat())
    return {"fingerprint": "ab" * 32, "certificate": old | {"label": "old.example.org"}}


# The sentence


def test_a_server_where_all_is_proven_says_so_first(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server)
    page = _text(operator_page)
    assert "Mail on mail.example.org is encrypted and proven on all 5 open ports." in page
    assert "headline is-proven" in page


def test_what_is_not_right_is_counted(server: MailServer, operator_page: Client) -> None:
    make_look(server, changed={"imaps": _expired(server), "smtp": CLOSED})
    page = _text(operator_page)
    assert "encrypted and proven on 3 of 5 open ports." in page
    assert "2 ports need you now." in page
    assert "headline is-broken" in page


def test_before_the_first_look_nothing_is_claimed(
    server: MailServer, operator_page: Client
) -> None:
    page = _text(operator_page)
    assert "Nobody has looked yet at what mail.example.org serves." in page
    assert "headline is-unknown" in page
    assert "proven on" not in page
    assert page.count("not looked at</span>") == 8


def test_a_server_without_open_ports_says_so(operator_page: Client) -> None:
    server = make_server(is_applied=False)
    server.listeners.update(is_enabled=False)
    make_look(apply_wanted(server))
    assert "No port of mail.example.org should be open." in _text(operator_page)


# The rows


def test_a_proven_row_shows_what_is_served(server: MailServer, operator_page: Client) -> None:
    run = make_look(server)
    fingerprint = run.observations.get(service="imaps").fingerprint
    row = _row(_text(operator_page), "imaps")
    words = _cells(row)
    for part in ("993", "IMAP with TLS", "TLS from the first byte", "TLS 1.3", "(R11)", "59 d"):
        assert part in words
    assert "pill-proven" in row
    assert f"{fingerprint[:12]}…" in words
    assert f'data-copy="{fingerprint}"' in row
    assert "required 2 min ago" in words


def test_the_answer_to_mail_without_login_stands_in_the_row(operator_page: Client) -> None:
    server = make_server(is_applied=False)
    server.listeners.filter(service="submission").update(is_enabled=True)
    make_look(apply_wanted(server))
    row = _row(_text(operator_page), "submission")
    assert 'title="530 5.7.0 Authentication required">530<' in row


def test_closed_by_choice_is_grey_not_green(server: MailServer, operator_page: Client) -> None:
    make_look(server)
    row = _row(_text(operator_page), "submissions")
    assert 'class="is-off"' in row
    assert re.search(r"pill-off.*closed", row, re.DOTALL)


def test_another_certificate_than_wanted_is_red_with_its_sentence_and_a_way_out(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server, changed={"imaps": _expired(server)})
    page = _text(operator_page)
    row = _row(page, "imaps")
    assert 'class="is-broken"' in row
    assert "IMAP with TLS: *:993 serves another certificate" in row
    assert "expired" in _cells(row)
    assert "What now?" in row
    assert "Review shows how the files differ" in row
    assert 'href="/deployments/review/"' in row
    assert "What now?" not in _row(page, "imap")


def test_a_wanted_certificate_that_has_expired_is_red_too(operator_page: Client) -> None:
    ended = timezone.now() - timedelta(days=1)
    server = make_server(default_certificate=make_certificate(not_after=ended))
    make_look(server)
    row = _row(_text(operator_page), "imaps")
    assert 'class="is-broken"' in row
    assert "mail programs refuse to connect" in row
    assert "Get a new certificate" in row


def test_a_port_that_should_be_closed_and_answers_is_red(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server, changed={"sieve": {"is_open": True, "error": "", "error_text": ""}})
    row = _row(_text(operator_page), "sieve")
    assert 'class="is-broken"' in row
    assert "should be closed and still answers" in row


def test_a_problem_of_every_host_name_is_said_once(
    server: MailServer, operator_page: Client
) -> None:
    make_binding(server, "a.example.org", make_certificate("a.example.org"))
    make_binding(server, "b.example.org", make_certificate("b.example.org"))
    make_look(apply_wanted(server), changed={"imaps": CLOSED})
    assert _row(_text(operator_page), "imaps").count("nothing answers on *:993") == 1


def test_a_pending_difference_is_blue_and_the_row_shows_what_is_applied(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server)
    server.listeners.filter(service="pop3").update(is_enabled=False)
    page = _text(operator_page)
    row = _row(page, "pop3")
    assert 'class="is-pending"' in row
    assert "POP3 (110) will be closed." in row
    assert "STARTTLS required" in row
    assert "1 pending change<" in page


# How fresh it is


def test_an_old_look_is_said_to_be_old(
    server: MailServer, operator_page: Client, settings: Any
) -> None:
    settings.PROBE_INTERVAL = 300
    make_look(server, age=timedelta(minutes=9))
    assert "What you see is old" not in _text(operator_page)
    ProbeRun.objects.update(finished_at=timezone.now() - timedelta(minutes=11))
    page = _text(operator_page)
    assert "What you see is old: nobody has looked since" in page
    assert "headline is-attention" in page
    assert "last seen proven" in page


def test_an_agent_that_is_away_is_said_and_the_look_before_stays(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server)
    make_unanswered_look(server, status=ProbeRun.Status.FAILED, error=agent_away())
    page = _text(operator_page)
    assert "The last look saw nothing:" in page
    assert "cannot be reached (Connection refused)" in page
    assert "What you see is from the look before." in page
    assert "TLS 1.3" in page


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            ProbeRun.Status.QUEUED,
            "asked for {} s ago has not been taken by a worker. Is the Celery worker running",
        ),
        (ProbeRun.Status.RUNNING, "The agent was asked {} s ago and has not answered yet."),
    ],
)
def test_a_look_that_nobody_answers_is_explained(
    server: MailServer, operator_page: Client, status: str, sentence: str
) -> None:
    make_unanswered_look(server, status=status, age=timedelta(seconds=14))
    assert tells_seconds(_text(operator_page), sentence, 14)


# Checking now


def test_checking_now_queues_one_look_however_often_it_is_pressed(
    server: MailServer,
    operator_page: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks, "send", lambda _task, pk, **_: sent.append(pk))
    with django_capture_on_commit_callbacks(execute=True):
        answer = operator_page.post("/check/")
        operator_page.post("/check/", headers={"HX-Request": "true"})
    assert answer.headers["Location"] == "/"
    assert sent == [ProbeRun.objects.get().pk]


def test_while_it_looks_the_page_polls_and_works_without_a_script(
    server: MailServer, operator_page: Client
) -> None:
    make_unanswered_look(server)
    page = _text(operator_page)
    assert "Looking at 8 ports now…" in page
    assert 'hx-trigger="every 500ms"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page


def test_polling_answers_with_the_matrix_when_the_look_is_done_and_slows_down(
    server: MailServer, operator_page: Client
) -> None:
    run = make_unanswered_look(server)
    seen = operator_page.get("/").context["seen"]
    address = f"/served/?seen={seen}"
    assert operator_page.get(address, headers={"HX-Request": "true"}).status_code == 204
    run.delete()
    make_look(server, age=timedelta(0))
    answer = operator_page.get(address, headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert 'hx-trigger="every 30s"' in page
    assert "proven on all 5 open ports" in page
    assert '<div id="health" hx-swap-oob="innerHTML">' in page
    assert "all proven" in page


def test_a_look_that_was_lost_does_not_poll_for_ever(
    server: MailServer, operator_page: Client
) -> None:
    make_unanswered_look(server, age=timedelta(seconds=70))
    page = _text(operator_page)
    assert 'hx-trigger="every 30s"' in page
    assert "Looking at" not in page


# Opening a row


def test_a_row_opens_to_the_conversation_the_chain_and_the_last_looks(
    server: MailServer, operator_page: Client
) -> None:
    make_binding(server, "mail.example.net", make_certificate("mail.example.net"))
    apply_wanted(server)
    make_look(server, age=timedelta(minutes=10), changed={"imaps": CLOSED})
    run = make_look(server)
    part = _text(operator_page, "/served/imaps/", headers={"HX-Request": "true"})
    assert "<html" not in part
    assert "220 mail.example.org ESMTP Postfix" in part
    assert "TLS_AES_256_GCM_SHA384" in part
    assert "Asked for no host name" in part
    assert "mail.example.net" in part
    assert part.count("R11, ") == 2
    assert run.observations.filter(service="imaps")[0].fingerprint in part
    assert part.count("strip-cell is-proven") == 1
    assert part.count("strip-cell is-broken") == 1
    assert "1 of 2 not right" in part


def test_without_a_script_the_row_leads_to_a_page_of_its_own(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server, changed={"imaps": CLOSED})
    page = _text(operator_page, "/served/imaps/")
    assert "<html" in page
    assert "nothing answers on *:993" in page
    assert "What now?" in page


def test_a_port_nobody_looked_at_says_so(server: MailServer, operator_page: Client) -> None:
    assert "Nobody has looked at this port yet." in _text(operator_page, "/served/imaps/")


@pytest.mark.parametrize("service", ["gopher", "imapsx"])
def test_a_service_that_does_not_exist_is_not_found(
    server: MailServer, operator_page: Client, service: str
) -> None:
    assert operator_page.get(f"/served/{service}/").status_code == 404


# What comes next


def test_passwords_in_clear_are_pointed_out_with_where_to_end_it(operator_page: Client) -> None:
    server = make_server(is_applied=False)
    server.listeners.filter(service="pop3").update(tls_mode="none")
    make_look(apply_wanted(server))
    page = _text(operator_page)
    assert "110 (POP3) still takes passwords in clear." in page
    assert 'href="/listeners/#listener-pop3">Close it…' in page
    assert "proven on 4 of 5 open ports" in page
    server.listeners.filter(service="pop3").update(is_enabled=False)
    assert "Your pending changes end this." in _text(operator_page)


def test_self_signed_certificates_are_pointed_out(
    server: MailServer, operator_page: Client
) -> None:
    state = desired_state(server)
    shown = shown_certificate(state, state.default_certificate, is_self_signed=True)
    make_look(server, changed={"imaps": {"certificate": shown}})
    page = _text(operator_page)
    assert "1 port serves a self-signed certificate" in page
    assert "signed by itself" in _row(page, "imaps")


def test_one_that_acme_issued_already_is_led_to_instead_of_another(
    server: MailServer, operator_page: Client
) -> None:
    state = desired_state(server)
    shown = shown_certificate(state, state.default_certificate, is_self_signed=True)
    make_look(server, changed={"imaps": {"certificate": shown}})
    certificate = make_certificate("mail.example.org")
    wanted = make_acme_certificate(server=server, certificate=certificate)
    make_order(
        wanted,
        status=AcmeOrder.Status.ISSUED,
        certificate=certificate,
        issued_at=timezone.now(),
    )
    page = _text(operator_page)
    assert "One from Test CA" in page
    assert "Get one…" not in page
    address = f'href="{wanted.get_absolute_url()}"'
    assert f"{address}>Put it in place…" in page
    there = _text(operator_page, wanted.get_absolute_url())
    assert f'action="/listeners/put-in-place/?certificate={certificate.pk}"' in there
    operator_page.post(f"/listeners/put-in-place/?certificate={certificate.pk}")
    page = _text(operator_page)
    assert "Your pending changes end this." in page
    assert address not in page
    assert "Get one…" not in page


def test_a_certificate_that_does_not_cover_the_host_is_pointed_out(operator_page: Client) -> None:
    make_look(make_server(default_certificate=make_certificate("other.example.com")))
    assert "does not cover mail.example.org" in _text(operator_page)


def test_the_next_certificates_and_the_last_deployment_are_shown(
    server: MailServer, operator_page: Client
) -> None:
    for number in range(4):
        certificate = make_certificate(
            f"n{number}.example.org", not_after=timezone.now() + timedelta(days=100 + number)
        )
        make_binding(server, f"n{number}.example.org", certificate)
    make_look(apply_wanted(server))
    make_deployment(server, status=Deployment.Status.ROLLED_BACK, failure=agent_away())
    page = _text(operator_page)
    card = page[page.index('id="expiring"') :]
    assert card.index("mail.example.org") < card.index("n0.example.org")
    assert "n1.example.org" in card
    assert "n2.example.org" not in card
    assert ">#0<" in card
    assert "taken back" in card
    assert "Drift: none." in card


def test_a_server_without_anything_is_not_an_error(operator_page: Client) -> None:
    MailServer.objects.create(host_name="mail.example.org")
    page = _text(operator_page)
    assert "There is no certificate yet." in page
    assert "Nothing was applied yet." in page


def test_without_a_server_the_page_leads_to_adopting(operator_page: Client) -> None:
    assert "/deployments/adopt/" in _text(operator_page)
    assert operator_page.post("/check/").status_code == 404
    assert operator_page.get("/served/").status_code == 404


# People, scripts, cost


def test_a_viewer_sees_all_of_it_and_has_no_button(server: MailServer, client_of: ClientOf) -> None:
    server.listeners.filter(service="pop3").update(tls_mode="none")
    make_look(apply_wanted(server))
    viewer = client_of("viewer")
    page = _text(viewer)
    assert "TLS 1.3" in page
    assert "still takes passwords in clear" in page
    for button in ("Check now</button>", "Close it"):
        assert button not in page
    assert viewer.post("/check/").status_code == 403
    assert not ProbeRun.objects.exclude(status="done").exists()


def test_looking_cannot_be_asked_for_by_a_link(server: MailServer, operator_page: Client) -> None:
    assert operator_page.get("/check/").status_code == 405


@pytest.mark.parametrize("address", ["/", "/served/", "/served/imaps/"])
def test_nobody_gets_anywhere_without_a_login(server: MailServer, address: str) -> None:
    assert Client().get(address).headers["Location"].startswith("/account/login/")


def test_what_a_port_says_cannot_become_markup(server: MailServer, operator_page: Client) -> None:
    evil = "<script>alert(1)</script>"
    shown = {"label": evil, "issuer": evil, "key": evil, "not_after": evil}
    said = {
        "certificate": shown,
        "chain": (shown,),
        "cipher": evil,
        "tls_version": evil,
        "fingerprint": evil,
        "reply_without_login": evil,
        "reply_without_tls": evil,
        "dialogue": (("server", evil), (evil, evil)),
    }
    make_look(server, changed={"imaps": said, "smtp": said})
    for address in ("/", "/served/imaps/", "/served/smtp/"):
        page = _text(operator_page, address)
        assert evil not in page
        assert "&lt;script&gt;" in page


def test_queries_do_not_grow_with_names_certificates_and_looks(
    server: MailServer, operator_page: Client
) -> None:
    make_look(server)
    make_deployment(server)
    few = _count_queries(operator_page, "/")
    for number in range(10):
        certificate = make_certificate(f"n{number}.example.org")
        make_binding(server, f"n{number}.example.org", certificate)
    server.listeners.update(is_enabled=True)
    apply_wanted(server)
    for _ in range(9):
        make_look(server)
        make_deployment(server)
    assert _count_queries(operator_page, "/") == few
    assert few <= 21


def _count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        _text(client, address)
    return len(queries)
