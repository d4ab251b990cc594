"""What is under way when something is applied goes on: sessions, mail, and other applies."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mailadmin.agent import proving, server
from mailadmin.agent.protocol import ApplyReport, Outcome, StepEvent, StepStatus
from mailadmin.mailconf.state import DesiredState
from tests.integration import mail_clients, wire
from tests.integration.mail_host import SERVICES, MailHost
from tests.states import make_material, with_default, with_name, with_open

pytestmark = pytest.mark.integration

# As imported, before ``quick_watch`` cuts them short.
REAL_WATCH, REAL_WATCH_PAUSE = proving._WATCH, proving._WATCH_PAUSE
SPACING = 8  # seconds
_AFTERWARDS = 10.0  # seconds; a default Dovecot ends its sessions 6 s after a reload


def begin_data(host: MailHost, service: str, subject: str) -> smtplib.SMTP:
    """Return a session in the middle of DATA: half of a message has been sent."""
    client = mail_clients.connect_submission(host, service)
    client.login(host.settings.mailbox, host.settings.mailbox_password)
    assert client.mail(host.settings.mailbox)[0] == 250
    assert client.rcpt(host.settings.mailbox)[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(f"Subject: {subject}\r\n\r\nHalf of ")
    return client


def end_data(client: smtplib.SMTP) -> None:
    client.send("a message.\r\n.\r\n")
    code, words = client.getreply()
    assert code == 250, words
    client.quit()


def test_sessions_survive_a_certificate_and_a_port_change(host: MailHost) -> None:
    imap, starttls = (mail_clients.connect_imap(host, service=name) for name in ("imaps", "imap"))
    imap.select("INBOX")
    pop3 = poplib.POP3_SSL(host.address, host.port("pop3s"), context=unverified(host), timeout=30)
    pop3.user(host.settings.mailbox)
    pop3.pass_(host.settings.mailbox_password)
    sending = [begin_data(host, name, f"held {name}") for name in ("submission", "submissions")]

    reloads = host.count_reloads()
    state = with_default(host.base, make_material("while they talk").certificate)
    host.apply(state)
    host.apply(with_open(state, "sieve", "smtp", is_open=False))
    applied_at = time.monotonic()
    postfix, dovecot = host.count_reloads()
    assert (postfix - reloads[0], dovecot - reloads[1]) == (2, 1)

    # Looked at all the time until ten seconds later, not only at the end.
    while time.monotonic() - applied_at < _AFTERWARDS:
        assert imap.noop()[0] == starttls.noop()[0] == "OK"
        assert pop3.noop().startswith(b"+OK")
        time.sleep(0.5)
    for client in sending:
        end_data(client)
    for name in ("submission", "submissions"):
        mail_clients.wait_for_subject(host, f"held {name}")
    assert imap.search(None, "ALL")[0] == "OK"
    imap.logout()
    starttls.logout()
    pop3.quit()


def unverified(host: MailHost) -> ssl.SSLContext:
    context = mail_clients.trust(host.certificate)
    context.check_hostname = False
    return context


def test_a_connection_that_has_not_logged_in_yet_survives_a_certificate_change(
    host: MailHost,
) -> None:
    """A reload would cut it off; the re-read does not."""
    settings = host.settings
    waiting = imaplib.IMAP4_SSL(
        host.address, host.port("imaps"), ssl_context=unverified(host), timeout=30
    )
    host.apply(with_default(host.base, make_material("while they type").certificate))
    assert waiting.login(settings.mailbox, settings.mailbox_password)[0] == "OK"
    waiting.logout()


def test_mail_goes_on_while_certificates_change(host: MailHost) -> None:
    """Sent and read all the time by clients that never try twice."""
    stop = threading.Event()
    sent: list[str] = []
    faults: list[Exception] = []

    def send() -> None:
        while not stop.is_set():
            subject = f"steady {len(sent)}"
            try:
                mail_clients.submit(host, subject)
                mail_clients.connect_imap(host).logout()
                sent.append(subject)
            except Exception as error:
                faults.append(error)

    def go_on() -> None:
        """Let one more message be on its way from here on."""
        before = len(sent)
        wire.wait_until(lambda: len(sent) > before + 1 or bool(faults), 60, "mail goes on")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for number in range(3):
            host.apply(with_default(host.base, make_material(f"steady {number}").certificate))
            go_on()
    finally:
        stop.set()
        thread.join(60)
    assert not faults
    assert len(sent) > 3
    for subject in sent:
        mail_clients.wait_for_subject(host, subject)
    subjects = [item for item in mail_clients.list_subjects_by_imap(host) if "steady" in item]
    assert sorted(subjects) == sorted(sent)


# Other applies


def apply_aside(
    host: MailHost, state: DesiredState, digest: str, deployment_id: str
) -> tuple[threading.Thread, list[StepEvent], list[ApplyReport]]:
    told: list[StepEvent] = []
    reports: list[ApplyReport] = []

    def ask() -> None:
        reports.append(
            host.client.apply(
                state, digest=digest, deployment_id=deployment_id, on_step=told.append
            )
        )

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, told, reports


def test_the_same_deployment_asked_for_twice_is_applied_once(
    host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each is told the last step again after a silence, and their silences begin at different times.
    monkeypatch.setattr(server, "_SIGN_OF_LIFE", 60.0)
    state = with_default(host.base, make_material("twice").certificate)
    digest = host.plan(state).digest
    generations, reloads = host.generations(), host.count_reloads()
    asked = [apply_aside(host, state, digest, "twice") for _ in range(2)]
    for thread, _, _ in asked:
        thread.join(60)
    (_, first_told, first), (_, second_told, second) = asked
    assert first == second
    assert first_told == second_told
    assert first[0].outcome is Outcome.SUCCEEDED
    assert host.count_reloads()[0] == reloads[0] + 1
    fresh = set(host.generations()) - set(generations)
    assert len(fresh) == 1
    again = host.client.apply(state, digest="", deployment_id="twice", on_step=lambda _: None)
    assert again == first[0]
    assert host.count_reloads()[0] == reloads[0] + 1


@pytest.fixture
def slow_host(
    make_mail_host: Callable[..., MailHost], monkeypatch: pytest.MonkeyPatch
) -> Iterator[MailHost]:
    """Yield a mail server whose agent keeps its distance and watches as long as on a real one."""
    monkeypatch.setattr(proving, "_WATCH", REAL_WATCH)
    monkeypatch.setattr(proving, "_WATCH_PAUSE", REAL_WATCH_PAUSE)
    host = make_mail_host(spacing=SPACING)
    host.start_agent()
    yield host
    host.stop_agent()


def begun(step: StepEvent) -> datetime:
    """Return when, by the agent's own clock: how soon we hear of it is the machine's affair."""
    return datetime.fromisoformat(step.at)


def ended(step: StepEvent) -> datetime:
    return begun(step) + timedelta(milliseconds=step.duration_ms or 0)


def test_a_second_apply_keeps_its_distance_and_says_so(slow_host: MailHost) -> None:
    host = slow_host
    state = host.full_state()
    first = host.apply(state)
    assert "waiting" not in [event.code for event in host.told]
    proved, watched = first.steps[-2:]
    assert (proved.code, watched.code) == ("proved", "watched")
    # How many looks there is time for is the machine's affair.
    assert watched.evidence["rounds"] >= 1
    assert REAL_WATCH >= 2
    assert ended(watched) - begun(proved) >= timedelta(seconds=REAL_WATCH, milliseconds=-1)

    report = host.apply(with_default(state, make_material("second").certificate))
    assert (host.told[0].code, host.told[0].status) == ("waiting", StepStatus.RUNNING)
    assert host.told[0].duration_ms is not None
    assert 0 < host.told[0].duration_ms <= SPACING * 1000
    # It is told again as a sign of life.
    assert next(step.code for step in host.told if step.code != "waiting") == "planned"
    assert report.proof_ms is not None
    assert report.steps[0].code == "planned"
    assert begun(report.steps[0]) - ended(watched) > timedelta(seconds=SPACING)


# Nobody else may read a key


def test_keys_are_for_roots_eyes_alone(host: MailHost) -> None:
    named = make_material("named", ("mail.one.test",)).certificate
    state = with_name(host.base, "mail.one.test", named)
    plan = host.plan(state)
    report = host.apply(state)
    seen = {path.name for path in host.config.state_dir.rglob("*")}
    assert {"default.pem", "sni-mail.one.test.pem", "sni.map"} <= seen
    assert {"sni.map.db", "sni.map.lmdb"} & seen
    for path in [host.config.state_dir, *host.config.state_dir.rglob("*")]:
        facts = path.lstat()
        if not stat.S_ISLNK(facts.st_mode):
            assert stat.S_IMODE(facts.st_mode) & 0o077 == 0, path
            assert facts.st_uid == 0, path

    told = repr([plan, report, host.told]) + str([plan.as_dict(), report.as_dict()])
    secrets = [line for item in state.certificates for line in item.key_pem.splitlines()[1:-1]]
    assert secrets
    places = [host.sandbox.postfix_log, host.sandbox.dovecot_log, host.main_cf, host.master_cf]
    results = (host.config.state_dir / "results").iterdir()
    texts = [told, *(path.read_text(errors="replace") for path in [*places, host.dropin, *results])]
    for text in texts:
        assert "PRIVATE KEY" not in text
        assert not any(line in text for line in secrets)
    assert not (host.config.state_dir / "staging").exists()
    assert not (host.config.state_dir / "backup").exists()


def test_keys_of_older_generations_do_not_pile_up(host: MailHost) -> None:
    for number in range(6):
        is_open = bool(number % 2)
        host.apply(with_open(host.base, "pop3", is_open=is_open))
    assert len(host.generations()) <= 5


def test_the_evidence_holds_what_was_really_seen(host: MailHost) -> None:
    report = host.apply(replace(host.base, tls_profile="modern"))
    by_service = {seen.service: seen for seen in report.evidence}
    assert set(by_service) == set(SERVICES)
    for service in ("submission", "submissions"):
        reply = by_service[service].reply_without_login
        assert re.fullmatch(r"530 5\.7\.0 .*Authentication required", reply)
    assert by_service["submission"].reply_without_tls.startswith("530 5.7.0 Must issue")
    assert not by_service["smtp"].reply_without_tls.startswith("5")
    for seen in report.evidence:
        assert seen.fingerprint == host.leaf(seen.service)
        output = wire.shake_hands(host.address, seen.port, seen.service).output
        assert f"{seen.tls_version}, Cipher is {seen.cipher}" in output
        assert seen.chain[0]["label"] == "Throwaway Root Intermediate 1"
