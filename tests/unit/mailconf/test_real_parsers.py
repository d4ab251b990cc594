"""Postfix's and Dovecot's own parsers judge what we render; nothing is started."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from mailadmin.mailconf import dovecot_settings, main_cf, master_cf
from mailadmin.mailconf.logical_lines import logical_lines
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.profiles import KEPT, PROFILES
from mailadmin.mailconf.services import Daemon
from tests.unit.mailconf.golden import CASES, Case, read_case, read_hosts, write_text
from tests.unit.mailconf.strategies import main_cf_files, master_cf_files

pytestmark = pytest.mark.integration

# Warnings about what the admin wrote; a variable that nothing uses any more is one of them.
# The last is 3.10 on a value that we never write, and that it reads as it was meant all the same.
_FOREIGN = re.compile(
    r"unused parameter: (mua_\w+|scalemail-backend_\w+)="
    r"|#comment after other text is not allowed: #x "
)
# Of the random files, what Postfix prints because it is a parameter of its own.
_KNOWN = {"myhostname", "smtpd_tls_security_level", "smtpd_tls_cert_file", "smtpd_use_tls"}
_ASSIGNMENT = re.compile(r"[^\s=]+\s*=", re.ASCII)
_WORDS = re.compile(r"[ \t\r\n]+")


some = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which(program)
    assert path is not None
    return subprocess.run(
        [path, *arguments],
        capture_output=True,
        timeout=90,
        encoding="utf-8",
        errors="surrogateescape",
    )


def write_files(folder: Path, files: PostfixFiles) -> None:
    write_dated(folder / "main.cf", files.main_cf)
    write_dated(folder / "master.cf", files.master_cf)


def write_dated(path: Path, text: str) -> None:
    """Write a file of long ago: Postfix waits a second for one that was changed just now."""
    write_text(path, text)
    os.utime(path, (1_000_000_000, 1_000_000_000))


def ask_postconf(folder: Path, *arguments: str) -> list[str]:
    """Return what postconf prints. Fails on warnings about anything of ours."""
    done = run("postconf", "-c", str(folder), *arguments)
    warnings = [line for line in done.stderr.splitlines() if not _FOREIGN.search(line)]
    assert (done.returncode, warnings) == (0, [])
    return done.stdout.splitlines()


def as_pairs(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


# Postfix


@pytest.mark.parametrize("name", CASES)
def test_postfix_reads_every_expected_file_without_a_warning(name: str, tmp_path: Path) -> None:
    files = read_case(name).render_postfix()
    write_files(tmp_path, files)
    read = as_pairs(ask_postconf(tmp_path, "-n"))
    wanted = main_cf.read_parameters(files.main_cf)
    for parameter, value in wanted.items():
        # postconf folds the lines of a value.
        if parameter in read:
            assert _WORDS.split(read[parameter]) == _WORDS.split(value)
    assert {parameter for parameter in wanted if "tls" in parameter} <= read.keys()


@pytest.mark.parametrize("name", CASES)
def test_postfix_sees_the_services_that_we_see(name: str, tmp_path: Path) -> None:
    files = read_case(name).render_postfix()
    write_files(tmp_path, files)
    ours = {(item.name, item.kind): item for item in master_cf.read_entries(files.master_cf)}
    heads = [line.split()[:8] for line in ask_postconf(tmp_path, "-M") if line[:1].strip()]
    assert {(head[0], head[1]): head[2:] for head in heads} == {
        key: [*item.columns, item.command] for key, item in ours.items()
    }
    options = as_pairs(ask_postconf(tmp_path, "-P"))
    for (service, kind), entry in ours.items():
        for option, value in entry.options.items():
            assert _WORDS.split(options.pop(f"{service}/{kind}/{option}")) == _WORDS.split(value)
    assert options == {}


@pytest.mark.parametrize(("name", "files"), list(read_hosts()))
def test_postfix_reads_the_hosts_we_test_with(
    name: str, files: PostfixFiles, tmp_path: Path
) -> None:
    write_files(tmp_path, files)
    assert run("postconf", "-c", str(tmp_path), "-n").returncode == 0
    assert run("postconf", "-c", str(tmp_path), "-M").returncode == 0


@some
@given(main_cf_files)
def test_we_read_an_odd_main_cf_as_postfix_does(tmp_path: Path, text: str) -> None:
    # Postfix takes a second to die of a line that it cannot read.
    assume(all(_ASSIGNMENT.match(line.text) for line in logical_lines(text) if line.text))
    write_files(tmp_path, PostfixFiles(text, ""))
    done = run("postconf", "-c", str(tmp_path), "-n")
    assert done.returncode == 0
    read = as_pairs(done.stdout.split("\n")[:-1])
    ours = main_cf.read_parameters(text)
    for name in _KNOWN:
        assert _WORDS.split(read.get(name, "")) == _WORDS.split(ours.get(name, ""))


@some
@given(master_cf_files)
def test_we_read_an_odd_master_cf_as_postfix_does(tmp_path: Path, text: str) -> None:
    assume(all(is_sound(line.text) for line in logical_lines(text) if line.text))
    write_files(tmp_path, PostfixFiles("", text))
    done = run("postconf", "-c", str(tmp_path), "-F")
    assert done.returncode == 0
    commands = {
        name: unbraced(value)
        for name, value in as_pairs(done.stdout.split("\n")[:-1]).items()
        if name.endswith("/command")
    }
    assert commands == {
        f"{item.name}/{item.kind}/command": unbraced(" ".join((item.command, *item.words)))
        for item in master_cf.read_entries(text)
    }


def is_sound(line: str) -> bool:
    """Tell whether Postfix can read the line: its kind is one, and every brace is closed."""
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(char, 0) for char in line))
    is_known = re.match(r"\S+[ \t\r]+(inet|unix)([ \t\r]+\S+){6}", line) is not None
    return is_known and min(depths) >= 0 and depths[-1] == 0


def unbraced(words: str) -> str:
    """Return a command without what postconf and we write in different ways."""
    return re.sub(r"\s*=\s*", "=", re.sub(r"[\s{}]+", " ", words)).strip()


@pytest.mark.parametrize(
    "value", ["", "a", "a b", "a, b:{c d} e", "$x", "a $$ b", "#x", "a=b", "-o"]
)
def test_postfix_reads_our_values_back(value: str, tmp_path: Path) -> None:
    (entry,) = master_cf.read_entries("465 inet n - n - - smtpd\n")
    master = entry.with_options({"smtpd_banner": value, "smtpd_etrn_restrictions": "x"}).as_text()
    write_files(tmp_path, PostfixFiles(f"smtpd_banner = {main_cf.quote_value(value)}\n", master))
    assert ask_postconf(tmp_path, "-hx", "smtpd_banner") == [value]
    assert as_pairs(ask_postconf(tmp_path, "-P")) == {
        "465/inet/smtpd_banner": value.replace("$", "$$"),
        "465/inet/smtpd_etrn_restrictions": "x",
    }


@pytest.mark.parametrize("name", sorted(PROFILES.keys() - {KEPT}))
def test_the_excluded_ciphers_leave_those_of_the_profile(name: str, tmp_path: Path) -> None:
    write_files(tmp_path, PostfixFiles("", ""))
    (medium,) = ask_postconf(tmp_path, "-h", "tls_medium_cipherlist")
    profile = PROFILES[name]
    wanted = ":".join([medium, *(f"!{item}" for item in profile.excluded)])
    left = run("openssl", "ciphers", wanted).stdout.strip().split(":")
    old = {item for item in left if not item.startswith("TLS_")}
    assert old == set(profile.ciphers or PROFILES["intermediate"].ciphers)


# Dovecot


def read_version() -> tuple[int, int]:
    major, minor = re.findall(r"\d+", run("dovecot", "--version").stdout)[:2]
    return int(major), int(minor)


@pytest.fixture
def ask_doveconf(tmp_path: Path) -> Callable[[str, str], str]:
    """Return a function that has a drop-in judged; it prints all settings."""
    head = ""
    if read_version() >= (2, 4):
        head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"

    def ask(dropin: str, protocols: str) -> str:
        config = tmp_path / "dovecot.conf"
        general = f"{head}base_dir = {tmp_path}\nprotocols = {protocols}\n"
        write_text(tmp_path / "99-mailadmin.conf", dropin)
        write_text(config, f"{general}!include 99-mailadmin.conf\n")
        assert run("doveconf", "-c", str(config), "-n").stderr == ""
        outputs = [run("doveconf", "-c", str(config), option) for option in ("-d", "-a")]
        assert all(done.returncode == 0 for done in outputs)
        return "\n".join(done.stdout for done in outputs)

    return ask


@pytest.mark.parametrize("name", CASES)
def test_dovecot_reads_back_the_listeners_that_are_wanted(
    name: str, ask_doveconf: Callable[[str, str], str]
) -> None:
    case = read_case(name)
    text = ask_doveconf(case.render_dovecot(*read_version()), " ".join(case.protocols))
    settings = dovecot_settings.read_settings(text)
    assert set(case.protocols) <= set(settings.protocols)
    read = dovecot_settings.read_listeners(settings)
    for found, want in zip(read, wanted_listeners(case), strict=True):
        is_open, address, port, tls_mode = want
        assert found.is_enabled is is_open
        if is_open:
            assert (found.address, found.port, found.tls_mode) == (address, port, tls_mode)


def wanted_listeners(case: Case) -> list[tuple[bool, str, int, str]]:
    return [
        (
            item.is_enabled and item.definition.protocol in case.protocols,
            item.address,
            item.port,
            item.tls_mode,
        )
        for item in case.state.listeners
        if item.definition.daemon is Daemon.DOVECOT
    ]


def test_dovecot_reads_back_the_certificate(ask_doveconf: Callable[[str, str], str]) -> None:
    case = read_case("debian12-everything-open")
    text = ask_doveconf(case.render_dovecot(*read_version()), "imap pop3 sieve")
    pairs = dovecot_settings.read_settings(text).certificate_files()
    assert [certificate for certificate, _ in pairs] == ["/var/lib/mailadmin/live/default.pem"]
