"""Notices over time: opened once, told once, closed when it is over; also by many at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailadmin.acme.models import AcmeCertificate, AcmeOrder
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment, Observation, ProbeRun
from mailadmin.notifications.models import Delivery, Notice
from mailadmin.notifications.runner import drop_old, evaluate, evaluating
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer
from tests.acme_factories import make_acme_certificate, make_order
from tests.deployment_factories import make_deployment, make_look
from tests.notification_factories import make_mailbox, make_webhook
from tests.server_factories import apply_wanted, make_server
from tests.unit.notifications.conftest import day, issue

pytestmark = pytest.mark.django_db
CLOSED = {"is_open": False, "error": "probe.closed", "error_text": "Connection refused"}


def told() -> list[str]:
    """Return the codes of everything that was queued, in order."""
    rows = Delivery.objects.order_by("pk").values_list("notice__code", flat=True)
    return [str(code) for code in rows]


def standing() -> list[str]:
    rows = Notice.objects.filter(closed_at=None).order_by("code")
    return [row.code.removeprefix("certificate.") for row in rows]


def deploy(server: MailServer, certificate: Certificate) -> None:
    """Serve another certificate, as a proven deployment leaves it."""
    server.default_certificate = certificate
    server.save()
    apply_wanted(server)


def test_a_whole_life_is_told_in_five_messages_however_often_one_looks(server: MailServer) -> None:
    make_mailbox()
    for hour in range(0, 100 * 24, 6):
        evaluate(day(hour / 24))
    assert told() == [
        "certificate.renewal_due",
        "certificate.not_renewed",
        "certificate.ten_days",
        "certificate.three_days",
        "certificate.expired",
    ]
    assert standing() == ["expired"]


def test_only_what_counts_now_is_told_after_a_long_silence(server: MailServer) -> None:
    make_mailbox()
    evaluate(day(88))
    assert told() == ["certificate.three_days"]


def test_renewing_and_deploying_closes_everything(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    make_mailbox()
    evaluate(day(81))
    assert standing() == ["ten_days"]
    new = renew(81)
    evaluate(day(81.5))
    assert standing() == ["ten_days"]
    evaluate(day(82.5))
    assert standing() == ["not_deployed", "ten_days"]
    deploy(server, new)
    evaluate(day(82.6))
    assert standing() == []
    assert all(row.closed_at for row in Notice.objects.all())
    assert len(told()) == 2


def test_what_was_not_sent_yet_is_not_sent_after_the_renewal(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    make_mailbox()
    evaluate(day(81))
    deploy(server, renew(81))
    evaluate(day(81.1))
    rows = Delivery.objects.all()
    assert {row.status for row in rows} == {Delivery.Status.CANCELLED}
    assert {row.result["code"] for row in rows if row.result} == {"cancelled.over"}


def test_a_renewal_that_is_deleted_again_is_shown_again_and_told_no_second_time(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    make_mailbox()
    evaluate(day(70))
    assert standing() == ["not_renewed"]
    new = renew(70)
    evaluate(day(70.5))
    assert standing() == []
    Certificate.objects.filter(pk=new.pk).update(deleted_at=day(72))
    evaluate(day(73))
    assert standing() == ["not_renewed"]
    assert len(told()) == 1


def test_a_second_renewal_left_lying_is_told_anew(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    make_mailbox()
    first = renew(62)
    evaluate(day(64))
    Certificate.objects.filter(pk=first.pk).update(deleted_at=day(65))
    evaluate(day(65))
    renew(66)
    evaluate(day(68))
    assert told().count("certificate.not_deployed") == 2


def test_destinations_are_told_what_they_want(server: MailServer) -> None:
    everything, errors = make_mailbox(), make_mailbox(minimum_severity="error")
    make_mailbox(is_enabled=False)
    warnings = make_webhook(minimum_severity="warning")
    for number in (60, 67, 80, 87):
        evaluate(day(number))
    codes = {
        item.pk: [row.notice.code for row in item.deliveries.order_by("pk") if row.notice]
        for item in (everything, errors, warnings)
    }
    assert codes[everything.pk] == told_order(
        ["renewal_due", "not_renewed", "ten_days", "three_days"]
    )
    assert codes[warnings.pk] == told_order(["not_renewed", "ten_days", "three_days"])
    assert codes[errors.pk] == told_order(["three_days"])


def told_order(names: list[str]) -> list[str]:
    return [f"certificate.{name}" for name in names]


def test_spare_certificates_are_shown_and_nobody_is_told(server: MailServer) -> None:
    make_mailbox()
    issue("spare.example.org")
    evaluate(day(61))
    row = Notice.objects.get(code="certificate.spare_ends")
    assert row.is_quiet
    assert not row.deliveries.exists()
    evaluate(day(91))
    row.refresh_from_db()
    assert row.closed_at == day(91)


def test_two_workers_that_look_at_once_tell_it_once(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looks after the first has read the rows and before it has written."""
    make_mailbox()
    refresh, inside = evaluating._refresh, []

    def refresh_late(*args: object) -> None:
        if not inside:
            inside.append(True)
            inside.append(evaluate(day(88)))
        refresh(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluating, "_refresh", refresh_late)
    assert evaluate(day(88)) == []
    assert len(inside[1]) == 1  # type: ignore[arg-type]
    assert Notice.objects.count() == Delivery.objects.count() == 1


def test_what_a_notice_says_follows_the_facts(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    evaluate(day(81))
    row = Notice.objects.get(code="certificate.ten_days")
    assert row.params["way"] == "renew"
    assert row.params["places"] == "25, 110, 143, 993, 995"
    renew(81)
    evaluate(day(81.1))
    row.refresh_from_db()
    assert row.params["way"] == "choose"


# Ports


@pytest.fixture
def looked_at(db: None) -> MailServer:
    return make_server()


def test_one_bad_look_is_no_news_and_the_second_is(looked_at: MailServer) -> None:
    make_mailbox()
    now = timezone.now()
    make_look(looked_at, age=timedelta(minutes=15))
    make_look(looked_at, age=timedelta(minutes=10), changed={"imaps": CLOSED})
    evaluate(now)
    assert told() == []
    make_look(looked_at, age=timedelta(minutes=5), changed={"imaps": CLOSED})
    for _ in range(3):
        evaluate(now)
    assert told() == ["port.not_as_wanted"]
    row = Notice.objects.get()
    assert (row.params["service"], row.params["port"]) == ("imaps", 993)
    make_look(looked_at, age=timedelta(0))
    evaluate(now)
    assert standing() == []


def test_a_port_that_comes_and_goes_is_not_told_every_time(looked_at: MailServer) -> None:
    make_mailbox()
    now = timezone.now()
    bad = {"imaps": CLOSED}
    for at, changed in enumerate([bad, bad, {}, bad, bad]):
        make_look(looked_at, age=timedelta(minutes=50 - 5 * at), changed=changed)
        evaluate(now - timedelta(minutes=50 - 5 * at))
    assert standing() == ["port.not_as_wanted"]
    assert told() == ["port.not_as_wanted"]


def test_the_same_port_is_told_again_hours_later(looked_at: MailServer) -> None:
    make_mailbox()
    now = timezone.now()
    bad = {"imaps": CLOSED}
    for hours, changed in ((10, bad), (9.9, bad), (9, {}), (2, bad), (1.9, bad)):
        make_look(looked_at, age=timedelta(hours=hours), changed=changed)
        evaluate(now - timedelta(hours=hours))
    assert told() == ["port.not_as_wanted"] * 2


def test_looks_that_saw_nothing_neither_open_nor_close(looked_at: MailServer) -> None:
    make_look(looked_at, age=timedelta(minutes=10), changed={"imaps": CLOSED})
    make_look(looked_at, age=timedelta(minutes=5), changed={"imaps": CLOSED})
    ProbeRun.objects.create(server=looked_at, trigger="beat", status="failed", requested_by="beat")
    evaluate(timezone.now())
    assert standing() == ["port.not_as_wanted"]


# Deployments


@pytest.mark.parametrize(
    ("status", "code"), [("failed", "deployment.failed"), ("rolled_back", "deployment.taken_back")]
)
def test_a_deployment_that_was_not_proven_is_told_until_one_is(
    looked_at: MailServer, status: str, code: str
) -> None:
    make_mailbox()
    make_deployment(looked_at, status=status, failure=Problem("deployment.fault"))
    now = timezone.now()
    evaluate(now)
    evaluate(now)
    assert told() == [code]
    make_deployment(looked_at, age=timedelta(minutes=1))
    evaluate(now)
    assert standing() == []


def test_an_old_failure_is_no_news(looked_at: MailServer) -> None:
    make_deployment(
        looked_at, status="failed", failure=Problem("deployment.fault"), age=timedelta(days=8)
    )
    make_deployment(looked_at, status=Deployment.Status.QUEUED)
    evaluate(timezone.now())
    assert standing() == []


# Retention and cost


def test_what_is_long_over_is_forgotten_and_what_stands_stays(
    server: MailServer, renew: Callable[[float], Certificate]
) -> None:
    make_mailbox()
    evaluate(day(60))
    evaluate(day(88))
    Delivery.objects.update(finished_at=day(88))
    drop_old(day(88 + 91))
    assert set(Notice.objects.values_list("code", flat=True)) == {"certificate.three_days"}
    assert not Delivery.objects.exists()


def test_looking_costs_the_same_however_many_certificates_there_are(server: MailServer) -> None:
    evaluate(day(70))
    with CaptureQueriesContext(
        connection,
    ) as few:
        evaluate(day(70))
    for number in range(30):
        issue(f"h{number}.example.org")
    evaluate(day(70))
    with CaptureQueriesContext(connection) as many:
        evaluate(day(70))
    assert len(many) == len(few)
    assert Observation.objects.count() == 0


def test_a_failing_renewal_is_told_again_when_it_gets_late_and_is_over_by_itself(
    server: MailServer,
) -> None:
    make_mailbox()
    wanted = make_acme_certificate(
        server=server, certificate=server.default_certificate, failures=2, next_attempt_at=day(62)
    )
    why = Problem("acme.name_refused", subject="mail.example.org").as_dict()
    make_order(wanted, status=AcmeOrder.Status.FAILED, problem=why)
    evaluate(day(59))
    assert told() == []
    AcmeCertificate.objects.update(failures=3)
    evaluate(day(59))
    evaluate(day(59.5))
    assert told() == ["acme.renewal_failing"]
    assert Notice.objects.get().params["problem"] == why
    AcmeCertificate.objects.update(failures=9)
    evaluate(day(59.9))
    assert Notice.objects.get().params["failures"] == 9
    evaluate(day(76))
    row = Notice.objects.get(code="acme.renewal_failing", closed_at=None)
    assert row.severity == "error"
    assert told().count("acme.renewal_failing") == 2
    AcmeCertificate.objects.update(failures=0)
    evaluate(day(76.5))
    assert not Notice.objects.filter(code="acme.renewal_failing", closed_at=None).exists()


def test_a_renewal_that_nobody_wants_renewed_by_itself_is_not_told(server: MailServer) -> None:
    make_acme_certificate(failures=9, is_renewed_automatically=False)
    evaluate(day(1))
    assert not Notice.objects.exists()


def test_one_that_acme_issued_and_no_port_serves_is_told_as_not_deployed(
    server: MailServer,
) -> None:
    make_mailbox()
    old = server.default_certificate
    fresh = issue(begin=60)
    wanted = make_acme_certificate(server=server, certificate=fresh)
    make_order(
        wanted,
        status=AcmeOrder.Status.UNPROVEN,
        certificate=fresh,
        previous=old,
        issued_at=day(60),
    )
    evaluate(day(60.5))
    assert told() == []
    evaluate(day(61.1))
    assert told() == ["certificate.not_deployed"]
    deploy(server, fresh)
    evaluate(day(61.2))
    assert standing() == []
