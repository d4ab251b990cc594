"""Where certificates are used, as other pages show it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.template import Context, Template
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from mailadmin.mailconf.plan import Change, Effect
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer
from tests.server_factories import apply_wanted, make_binding, make_certificate

pytestmark = pytest.mark.django_db


def render(source: str, **context: object) -> str:
    template = Template("{% load listener_tags %}" + source)
    context.setdefault("request", RequestFactory().get("/"))
    return " ".join(template.render(Context(context)).split())


def test_coverage_names_the_ports_it_would_be_right_for(server: MailServer) -> None:
    make_binding(server, "b.example.net", make_certificate())
    told = render("{% listeners_covered_by names %}", names=["mail.example.org", "b.example.net"])
    assert "IMAP with TLS (993)" in told
    assert "Submission with TLS" not in told
    assert "b.example.net" in told


def test_coverage_warns_when_the_servers_name_is_missing(server: MailServer) -> None:
    told = render("{% listeners_covered_by names %}", names=["other.example"])
    assert "does not cover" in told
    assert "993" not in told


def test_without_a_server_nothing_is_said_of_coverage() -> None:
    assert render("{% listeners_covered_by names %}", names=["mail.example.org"]) == ""
    assert "not used" in render("{% certificate_ports c %}", c=make_certificate())


def test_usage_tells_what_is_not_applied_yet_and_what_is_leaving(server: MailServer) -> None:
    old, new = server.default_certificate, make_certificate()
    server.default_certificate = new
    server.save()
    told = render("{% certificate_usage c %}", c=new, may_change=True)
    assert "Default for ports" in told
    assert "IMAP with TLS" in told
    assert "not applied yet" in told
    assert f"/listeners/assign/?certificate={new.pk}" in told
    leaving = render("{% certificate_usage c %}", c=old)
    assert "until you apply" in leaving
    assert "assign" not in leaving


def test_an_unused_certificate_says_so(server: MailServer) -> None:
    assert "not used for anything yet" in render("{% certificate_usage c %}", c=make_certificate())


def test_ports_are_shown_in_one_line(server: MailServer) -> None:
    make_binding(server, "b.example.net", server.default_certificate)
    apply_wanted(server)
    told = render("{% certificate_ports c %}", c=server.default_certificate)
    assert [port in told for port in ("25", "143", "993", "465")] == [True, True, True, False]
    assert "1 name" in told
    assert "not applied yet" not in told


def test_a_default_that_no_port_serves_is_still_told(server: MailServer) -> None:
    server.listeners.update(is_enabled=False)
    assert "default" in render("{% certificate_ports c %}", c=server.default_certificate)


def test_a_list_of_certificates_reads_their_use_once(server: MailServer) -> None:
    source = "{% for c in all %}{% certificate_ports c %}{% certificate_usage c %}{% endfor %}"

    def count(number: int) -> int:
        certificates = [make_certificate() for _ in range(number)]
        with CaptureQueriesContext(connection) as captured:
            render(source, all=certificates)
        return len(captured)

    assert count(1) == count(10) > 0


def test_filters_say_changes_and_problems_in_their_json_form() -> None:
    change = Change("listener.closed", Effect.CLOSES, "imap", {"address": "*", "port": 143})
    problem = Problem("smtp.closed", subject="smtp")
    told = render(
        "{{ c|say_change }} {{ p|say_problem }} {{ c.effect|effect_words }} {{ s|service_words }}",
        c=change.as_dict(),
        p=problem.as_dict(),
        s="imaps",
    )
    assert told.startswith("IMAP (143) will be closed. Port 25 would be closed")
    assert told.endswith("Closes IMAP with TLS")
