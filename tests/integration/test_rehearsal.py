"""A certificate served beside the real server, which does not notice; and nothing left of it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import psutil
import pytest

from mailadmin.agent.host.scratch import ScratchServer
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf import rehearsal
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.problems import Problem
from tests.integration import wire
from tests.integration.killed_rehearsal import POINTS
from tests.integration.mail_host import PROJECT, MailHost
from tests.integration.processes import find_masters
from tests.states import make_material
from tests.throwaway_pki import ThrowawayCa, small_rsa_key

pytestmark = pytest.mark.integration

NAME = "mail.example.test"


def asking_for(certificate: CertificateMaterial, profile: str = "intermediate") -> DesiredState:
    return DesiredState(NAME, (), certificate.fingerprint, (certificate,), tls_profile=profile)


def refusal(host: MailHost, certificate: CertificateMaterial) -> Problem:
    with pytest.raises(AgentError) as caught:
        host.client.rehearse(asking_for(certificate), (NAME,))
    return caught.value.problem


def remains(host: MailHost) -> list[str]:
    """Return folders and processes of rehearsals, by what they are called or where they work."""
    scratch = ScratchServer(host.config)
    folders = [str(item) for item in (scratch.folder, scratch.runtime) if item.exists()]
    return folders + [
        f"{process.pid} {process.cmdline()}"
        for process in psutil.process_iter()
        if _is_of(process, scratch)
    ]


def _is_of(process: psutil.Process, scratch: ScratchServer) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        told = [process.cwd(), *process.cmdline(), *process.environ().values()]
    except psutil.Error:
        return False
    marks = (str(scratch.runtime), str(scratch.folder), scratch.places.instance_name)
    return any(mark in text for text in told for mark in marks)


class Witness:
    """A session on the real server, and what that server is; both must outlast a rehearsal."""

    def __init__(self, host: MailHost) -> None:
        self.host = host
        self.files, self.moments, self.leaves = host.files(), host.moments(), host.leaves()
        self.reloads = host.count_reloads()
        self.masters = find_masters(host.sandbox)
        assert len(self.masters) == 2
        self.session = socket.create_connection((host.address, host.port("imap")), timeout=60)
        self.answers = self.session.makefile("rb")
        assert self.answers.readline().startswith(b"* OK")

    def swear(self) -> None:
        """Assert that nothing about it has changed."""
        self.session.sendall(b"a1 NOOP\r\n")
        assert self.answers.readline().startswith(b"a1 OK")
        self.session.close()
        assert self.host.files() == self.files
        assert self.host.moments() == self.moments
        assert self.host.count_reloads() == self.reloads
        assert find_masters(self.host.sandbox) == self.masters
        assert self.host.leaves() == self.leaves


@pytest.fixture(scope="module")
def shared_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> MailHost:
    host = make_mail_host()
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    host.stop_agent()
    return host


@pytest.fixture
def host(shared_host: MailHost) -> Iterator[MailHost]:
    """Yield the mail server with its agent as a process of its own; nothing is left after it."""
    shared_host.start_agent_process()
    yield shared_host
    if shared_host.process is not None:
        shared_host.end_agent_process()
    assert remains(shared_host) == []


@pytest.fixture
def witness(host: MailHost) -> Iterator[Witness]:
    one = Witness(host)
    yield one
    one.swear()


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_a_good_certificate_is_proven(
    host: MailHost, witness: Witness, kind: str, profile: str
) -> None:
    certificate = make_material("good", kind=kind).certificate
    begun = time.monotonic()
    seen = host.client.rehearse(asking_for(certificate, profile), (NAME,))
    assert time.monotonic() - begun < 10
    assert len(seen) == 4
    assert {item.fingerprint for item in seen} == {certificate.fingerprint}
    assert {item.tls_version for item in seen} == {"TLSv1.3"}
    assert all(len(item.chain) == 1 for item in seen)
    assert remains(host) == []


def test_a_key_of_another_certificate(host: MailHost, witness: Witness) -> None:
    one, other = make_material("one").certificate, make_material("two").certificate
    assert refusal(host, replace(one, key_pem=other.key_pem)).code == "material.key_mismatch"
    assert remains(host) == []


def test_a_certificate_that_the_daemons_refuse(host: MailHost, witness: Witness) -> None:
    issued = ThrowawayCa().issue((NAME,), key=small_rsa_key())
    facts = read_certificate(issued.cert_pem)
    weak = CertificateMaterial(
        fingerprint=facts.fingerprint,
        label="weak",
        names=facts.names,
        not_before=facts.not_before,
        not_after=facts.not_after,
        leaf_pem=issued.cert_pem.decode(),
        chain_pem=issued.chain_pem.decode(),
        key_pem=issued.key_pem.decode(),
    )
    begun = time.monotonic()
    problem = refusal(host, weak)
    assert time.monotonic() - begun < 10
    # Postfix would serve a key of 1024 bits, so only its users would find out.
    assert (problem.code, problem.subject) == ("rehearsal.refused", "dovecot")
    assert "too small" in str(problem.params["words"])
    assert "session=" not in str(problem.params["words"])
    assert remains(host) == []


def test_a_file_that_the_daemons_cannot_read(
    shared_host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "pem_files", lambda state: {"default.pem": b"nothing\n"})
    shared_host.start_agent()
    try:
        problem = refusal(shared_host, make_material("unread").certificate)
    finally:
        shared_host.stop_agent()
    assert problem.code in {"rehearsal.refused", "rehearsal.not_started"}
    assert "default.pem" in str(problem.params["words"])
    assert remains(shared_host) == []


@pytest.mark.parametrize("service", ["submissions", "imaps"])
def test_a_port_that_another_program_takes_first(
    shared_host: MailHost, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = int(taken.getsockname()[1])
    free_ports = ScratchServer.pick_ports

    def pick_ports(self: ScratchServer, services: Sequence[str]) -> dict[str, int]:
        return free_ports(self, services) | {service: port}

    monkeypatch.setattr(ScratchServer, "pick_ports", pick_ports)
    shared_host.start_agent()
    try:
        with taken:
            problem = refusal(shared_host, make_material("late").certificate)
    finally:
        shared_host.stop_agent()
    assert (problem.code, problem.subject) == ("rehearsal.port_taken", service)
    assert problem.params["port"] == port
    assert remains(shared_host) == []


@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_agent_left_is_gone_when_the_next_one_starts(
    shared_host: MailHost, point: str
) -> None:
    witness = Witness(shared_host)
    state_file = shared_host.folder / "rehearsed.json"
    state = asking_for(make_material("killed").certificate)
    state_file.write_text(json.dumps(state.as_dict(with_pem=True, with_key=True)))
    command = [sys.executable, "-m", "tests.integration.killed_rehearsal"]
    done = subprocess.run(
        [*command, str(shared_host.config_file), str(state_file), point],
        cwd=PROJECT,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert remains(shared_host)
    shared_host.start_agent_process()
    try:
        assert remains(shared_host) == []
        shared_host.client.rehearse(state, (NAME,))
    finally:
        shared_host.end_agent_process()
    assert remains(shared_host) == []
    witness.swear()


def test_an_agent_that_is_told_to_stop_ends_its_rehearsal(host: MailHost) -> None:
    state = asking_for(make_material("interrupted").certificate)
    ends: list[str] = []

    def ask() -> None:
        # Again and again, so that nobody can miss it who looks whether one is under way.
        while True:
            try:
                ends.append(f"{len(host.client.rehearse(state, (NAME,)))} seen")
            except AgentError as error:
                ends.append(error.problem.code)
                return

    asking = threading.Thread(target=ask)
    asking.start()
    runtime = ScratchServer(host.config).runtime
    wire.wait_until(runtime.exists, 60, "a rehearsal has begun")
    assert host.end_agent_process() == 0
    assert remains(host) == []
    asking.join(60)
    # The agent may be gone before its last answer is; whoever asked can ask the next one.
    assert set(ends[:-1]) <= {"4 seen"}
    assert ends[-1] in {"agent.hung_up", "agent.unreachable"}


def test_the_key_and_the_files_are_for_root_alone(
    shared_host: MailHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_material("secret").certificate
    readable: list[str] = []
    clear = ScratchServer.clear

    def look_and_clear(self: ScratchServer) -> None:
        paths = [self.folder, *self.folder.rglob("*")] if self.folder.exists() else []
        readable.extend(str(path) for path in paths if path.stat().st_mode & 0o077)
        key = certificate.key_pem.encode()
        # Dovecot 2.4 keeps what it read, keys too, in a file of its own for root alone.
        files = [path for path in self.runtime.rglob("*") if path.is_file()]
        public = [path for path in files if path.stat().st_mode & 0o077]
        assert not any(key in path.read_bytes() for path in public)
        clear(self)

    monkeypatch.setattr(ScratchServer, "clear", look_and_clear)
    shared_host.start_agent()
    try:
        shared_host.client.rehearse(asking_for(certificate), (NAME,))
    finally:
        shared_host.stop_agent()
    # The daemons make some of their own; nobody comes there through a folder that is closed.
    scratch = ScratchServer(shared_host.config)
    assert str(scratch.folder) not in readable
    assert not [path for path in readable if path.endswith((".pem", "/pem"))]
