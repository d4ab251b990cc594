"""On trial: what every page says, and the two buttons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from mailadmin.deployments.models import Deployment
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment, make_plan
from tests.web.deployments.conftest import Sent

ClientOf = Callable[[str], Client]
PAGES = ("/", "/listeners/", "/certificates/", "/deployments/", "/deployments/review/", "/audit/")


@pytest.fixture
def awaiting(server: MailServer) -> Deployment:
    until = timezone.now() + timedelta(minutes=4, seconds=12)
    return make_deployment(server, confirm_minutes=5, confirm_by=until, state_before={})


def _text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def _said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_counts_down_and_offers_both(
    awaiting: Deployment, client_of: ClientOf, page: str
) -> None:
    text = _text(client_of("operator").get(page))
    assert "Deployment #0: taken back in" in text
    assert ">4:1" in text
    assert 'action="/deployments/0/confirm/"' in text
    assert 'action="/deployments/0/take-back/"' in text


def test_a_viewer_is_told_and_decides_nothing(
    awaiting: Deployment, client_of: ClientOf, sent: Sent
) -> None:
    client = client_of("viewer")
    text = _text(client.get("/"))
    assert "taken back in" in text
    assert "/confirm/" not in text
    for deed in ("confirm", "take-back"):
        assert client.post(f"/deployments/0/{deed}/").status_code == 403
        assert client_of("operator").get(f"/deployments/0/{deed}/").status_code == 405
    awaiting.refresh_from_db()
    assert awaiting.decision == ""
    assert sent == []


@pytest.mark.parametrize(
    ("deed", "decision", "words"),
    [
        ("confirm", "keep", "is being told to keep it"),
        ("take-back", "take_back", "is being taken back"),
    ],
)
def test_a_button_is_handed_to_a_worker(
    awaiting: Deployment, client_of: ClientOf, sent: Sent, deed: str, decision: str, words: str,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    client = client_of("operator")
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"/deployments/0/{deed}/")
    assert answer.headers["Location"] == "/deployments/0/"
    assert sent == [("settle_deployment", awaiting.pk)]
    awaiting.refresh_from_db()
    assert awaiting.decision == decision
    text = _text(client.get("/deployments/0/"))
    assert words in text
    assert "taken back in" not in text


def test_its_own_page_says_that_it_is_in_effect_and_until_when(
    awaiting: Deployment, client_of: ClientOf
) -> None:
    text = _text(client_of("viewer").get("/deployments/0/"))
    assert "unless you confirm." in text
    assert "It is in effect now." in text
    assert "within 5 minutes" in text
    assert '<meta http-equiv="refresh" content="10">' in text
    assert "awaiting confirmation" in _text(client_of("viewer").get("/deployments/"))


def test_a_page_left_open_learns_how_it_ended(awaiting: Deployment, client_of: ClientOf) -> None:
    client = client_of("operator")
    assert client.get("/deployments/0/awaiting/?seen=open").status_code == 204
    assert "taken back in" in _text(client.get("/deployments/0/awaiting/"))
    Deployment.objects.update(confirm_by=timezone.now() - timedelta(seconds=1))
    assert "is being taken back" in _text(client.get("/deployments/0/awaiting/?seen=open"))
    Deployment.objects.update(status=Deployment.Status.ROLLED_BACK)
    text = _text(client.get("/deployments/0/awaiting/?seen=over"))
    assert "was taken back. Mail runs as before (proven)." in text
    assert 'id="pending" hx-swap-oob' in text
    Deployment.objects.update(status=Deployment.Status.SUCCEEDED, confirmed_at=timezone.now())
    assert "was confirmed and stays" in _text(client.get("/deployments/0/awaiting/"))
    Deployment.objects.update(status=Deployment.Status.FAILED)
    assert "could not be taken back" in _text(client.get("/deployments/0/awaiting/"))
    assert client.get("/deployments/7/awaiting/").status_code == 404


def test_its_own_page_learns_how_it_ended_also_without_the_strip(
    awaiting: Deployment, client_of: ClientOf
) -> None:
    client = client_of("viewer")
    assert "/deployments/0/steps/?seen=awaiting" in _text(client.get("/deployments/0/"))
    assert client.get("/deployments/0/steps/?seen=awaiting").status_code == 204
    Deployment.objects.update(status=Deployment.Status.SUCCEEDED, confirmed_at=timezone.now())
    answer = client.get("/deployments/0/steps/?seen=awaiting")
    assert answer["HX-Retarget"] == "#deployment"
    assert "unless you confirm" not in _text(answer)


def test_a_button_pressed_too_late_says_so(awaiting: Deployment, client_of: ClientOf) -> None:
    Deployment.objects.update(status=Deployment.Status.ROLLED_BACK)
    answer = client_of("operator").post("/deployments/0/confirm/")
    assert "too late" in _said(answer)


@pytest.mark.parametrize(("chosen", "minutes"), [("", None), ("5", 5), ("30", 30)])
def test_the_review_asks_how_long(
    changed: MailServer, client_of: ClientOf, chosen: str, minutes: int | None
) -> None:
    client, plan = client_of("operator"), make_plan(changed)
    assert "Keep it only if I confirm within" in _text(client.get("/deployments/review/"))
    values = {"plan": plan.pk, "digest": plan.digest, "confirm_within": chosen}
    client.post("/deployments/review/apply/", values)
    assert Deployment.objects.get().confirm_minutes == minutes


@pytest.mark.parametrize("chosen", ["7", "-1", "never", "5.5"])
def test_another_time_is_refused(changed: MailServer, client_of: ClientOf, chosen: str) -> None:
    plan = make_plan(changed)
    values = {"plan": plan.pk, "digest": plan.digest, "confirm_within": chosen}
    client_of("operator").post("/deployments/review/apply/", values)
    assert not Deployment.objects.exists()


def test_the_review_says_why_nothing_can_be_applied(
    awaiting: Deployment, changed: MailServer, client_of: ClientOf
) -> None:
    make_plan(changed)
    text = _text(client_of("operator").get("/deployments/review/"))
    assert "Not possible while deployment #0 waits to be confirmed" in text
    assert 'action="/deployments/review/apply/"' not in text
