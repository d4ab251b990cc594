"""The real postconf judges a staged copy: new warnings refuse it, old and harmless ones do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailadmin.agent.config import PostfixPaths
from mailadmin.agent.host.postfix import PostfixHost
from mailadmin.agent.host.programs import Finished
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.postfix import PostfixFiles

pytestmark = pytest.mark.integration

# Written twice, and used by the service alone; both are worth a warning, at least later.
MAIN_CF = (
    "myhostname = a.test\nmyhostname = b.test\nmua_client_restrictions = permit, reject\n"
    "mua_helo_restrictions = check_helo_access hash:/etc/postfix/helo\n"
)
MASTER_CF = (
    "587 inet n - y - - smtpd\n  -o smtpd_client_restrictions=$mua_client_restrictions\n"
    "  -o smtpd_helo_restrictions=$mua_helo_restrictions\n"
)


class CheckedByPostconfAlone(PostfixHost):
    """``postfix check`` looks at the whole installation, which is not what is tested."""

    def _run(self, program: str, config_directory: Path, *arguments: str) -> Finished:
        if program == "postfix":
            return Finished(0, "")
        return super()._run(program, config_directory, *arguments)


@pytest.fixture
def host(tmp_path: Path) -> PostfixHost:
    folder = tmp_path / "etc"
    folder.mkdir()
    for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
        (folder / name).write_text(text)
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
    return CheckedByPostconfAlone(PostfixPaths(folder, Path("/usr/sbin")))


def check(host: PostfixHost, tmp_path: Path, main: str, master: str) -> None:
    host.check(PostfixFiles(main, master), tmp_path / "staged")


def test_a_variable_that_lost_its_service_is_no_obstacle(host: PostfixHost, tmp_path: Path) -> None:
    check(host, tmp_path, MAIN_CF, "587 inet n - y - - smtpd\n")


def test_an_old_warning_on_another_line_is_no_obstacle(host: PostfixHost, tmp_path: Path) -> None:
    check(host, tmp_path, f"# one more line\n{MAIN_CF}", MASTER_CF)


def test_a_parameter_that_postfix_does_not_know_is_refused(
    host: PostfixHost, tmp_path: Path
) -> None:
    with pytest.raises(AgentError) as caught:
        check(host, tmp_path, f"{MAIN_CF}smtpd_tls_securty_level = may/be\n", MASTER_CF)
    words = caught.value.problem.params["words"]
    assert words == "main.cf: unused parameter: smtpd_tls_securty_level=may/be"


def test_an_option_that_postfix_does_not_know_is_refused(host: PostfixHost, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"postfix\.check_failed"):
        check(host, tmp_path, MAIN_CF, f"{MASTER_CF}  -o smtpd_tls_wrapermode=yes\n")
