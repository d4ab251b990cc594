"""Which ports fail2ban bans on, by its own print of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailadmin.mailconf.guards.fail2ban import Jail, read_jails, uncovered

DUMP = (Path(__file__).parents[3] / "golden" / "guards" / "fail2ban-1.0.2.txt").read_text()


def test_the_jails_of_debian_as_fail2ban_prints_them() -> None:
    jails = read_jails(DUMP)
    assert [jail.name for jail in jails] == ["postfix", "dovecot"]
    assert all(jail.is_of_mail for jail in jails)
    assert uncovered(jails, [25, 465, 587, 143, 993, 110, 995, 4190]) == ()
    assert uncovered(jails, [10993]) == (10993,)
    assert not jails[0].is_banning_on(993)


def test_a_jail_that_is_not_of_mail_counts_for_nothing() -> None:
    assert uncovered([Jail("sshd", ((0, 65535),))], [465]) == (465,)


@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ("['multi-set', 'j', 'action', 'nftables-allports', [['port', '25']]]", ((0, 65535),)),
        ("['multi-set', 'j', 'action', 'a', [['port', '1:1024, imap2']]]", ((1, 1024), (143, 143))),
        ("['multi-set', 'j', 'action', 'a', [['port', 'gopher']]]", ()),
        ("['multi-set', 'j', 'action', 'a', [['name', 'x'], 7]]", ()),
        ("['set', 'j', 'action', 'a', 'port', 'smtp']", ((25, 25),)),
        ("['set', 'j', 'maxretry', 5]", ()),
        ("['broken", ()),
        ("[f()]", ()),
        ("WARNING: no log", ()),
    ],
)
def test_a_line_of_the_print(line: str, ports: tuple[tuple[int, int], ...]) -> None:
    assert read_jails(f"['add', 'j', 'auto']\n{line}\n") == (Jail("j", ports),)
