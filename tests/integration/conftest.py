"""Real daemons for the tests: each test (or module) gets private ones, all ended afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailadmin.agent import proving
from mailadmin.sandbox import Sandbox
from tests.integration.mail_host import MailHost
from tests.nameservers import NameServers, run_name_servers


@pytest.fixture(scope="session")
def name_servers() -> Iterator[NameServers]:
    """Yield name servers that the tests share; each test writes to names of its own."""
    with run_name_servers() as servers:
        yield servers


@pytest.fixture(scope="session")
def make_open_folder() -> Iterator[Callable[[], Path]]:
    """Make empty folders that the daemons' own users can enter, which pytest's tmp_path is not."""
    made: list[Path] = []

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="ma-", dir="/tmp"))
        folder.chmod(0o755)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_sandbox(make_open_folder: Callable[[], Path]) -> Iterator[Callable[[], Sandbox]]:
    """Create sandboxes (not started); whatever still runs at the end is stopped."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        sandbox = Sandbox.create(make_open_folder() / "mail")
        made.append(sandbox)
        return sandbox

    yield make
    for sandbox in made:
        sandbox.stop()


@pytest.fixture
def sandbox(make_sandbox: Callable[[], Sandbox]) -> Iterator[Sandbox]:
    """Yield a running sandbox, as plain as Debian ships it; it is stopped after the test."""
    server = make_sandbox()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def quick_watch() -> Iterator[None]:
    """Watch for a fraction of the two seconds after each proof, where that is not the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "_WATCH", 0.2)
        patch.setattr(proving, "_WATCH_PAUSE", 0.1)
        yield


@pytest.fixture(scope="module")
def make_mail_host(
    make_sandbox: Callable[[], Sandbox], make_open_folder: Callable[[], Path]
) -> Iterator[Callable[..., MailHost]]:
    """Start mail servers with a place for an agent, which is not started yet."""
    made: list[Sandbox] = []

    def make(**config: Any) -> MailHost:
        sandbox = make_sandbox()
        sandbox.start()
        made.append(sandbox)
        return MailHost(sandbox, make_open_folder(), **config)

    yield make
    for sandbox in made:
        sandbox.stop()


@pytest.fixture(scope="module")
def bare_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> MailHost:
    """Return a mail server in its base state whose agent is not running."""
    host = make_mail_host()
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    host.stop_agent()
    return host


@pytest.fixture
def idle_host(bare_host: MailHost) -> MailHost:
    """Return it in its base state, with nothing on trial and no agent running."""
    bare_host.start_agent()
    if (bare_host.config.state_dir / "trial.json").exists():
        bare_host.client.take_back("killed", lambda _: None)
    if not bare_host.is_in_base_state():
        bare_host.apply(bare_host.base)
    bare_host.stop_agent()
    (bare_host.config.state_dir / "results" / "killed.json").unlink(missing_ok=True)
    return bare_host


@pytest.fixture(scope="module")
def mail_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> Iterator[MailHost]:
    """Yield a mail server with an agent in this process; the tests of a module share it."""
    host = make_mail_host()
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    yield host
    host.stop_agent()


@pytest.fixture
def host(mail_host: MailHost) -> MailHost:
    """Return the shared mail server in its base state: every service open, one certificate."""
    if not mail_host.is_in_base_state():
        mail_host.apply(mail_host.base)
    return mail_host
