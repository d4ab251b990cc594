"""A mail server of two ports, for nothing but to show one certificate: its files and its judge.

Its TLS is what :mod:`mailadmin.mailconf` writes for the real one; the rest is as little as Postfix
3.7 to 3.11 and Dovecot 2.3 and 2.4 start with. Nobody can log in and no mail is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mailadmin.mailconf import dovecot, material, postfix, proof
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import SERVICES, Daemon, Protocol
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.names import WILDCARD, is_covered, parse_address
from mailadmin.pki.problems import Param, Problem, Severity

ADDRESS = "127.0.0.1"
_POSTFIX_SERVICE = "submissions"
# The first of these that the host's Dovecot speaks.
_DOVECOT_SERVICES = ("imaps", "pop3s")
_PROTOCOLS = (Protocol.IMAP, Protocol.POP3)
# Never that of the certificate: what is greeted with must not decide what is proven.
_HOST_NAME = "rehearsal.mailadmin.invalid"
# tlsmgr keeps the random numbers, anvil counts clients, postlogd writes the log of the others.
_MASTER_CF = """tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths. ``pem_folder`` holds the key; the rest is used by the daemons' own users."""

    pem_folder: str
    queue_directory: str
    data_directory: str
    postfix_log: str
    base_dir: str
    dovecot_state: str
    dovecot_log: str
    users: str
    instance_name: str

    @property
    def auth_socket(self) -> str:
        """Return where Postfix asks Dovecot about passwords; an smtpd without it gives up."""
        return f"{self.base_dir}/auth-postfix"


@dataclass(frozen=True, slots=True)
class Installed:
    """The host's own daemons: where Postfix' programs are, whom they run as, and what there is.

    ``postfix`` has the parameters of ``PARAMETERS``; ``protocols`` are those of Dovecot.
    """

    postfix: Mapping[str, str]
    dovecot_version: tuple[int, int]
    protocols: tuple[str, ...]


# What is taken over from the host's Postfix.
PARAMETERS = ("daemon_directory", "command_directory", "mail_owner", "setgid_group")


@dataclass(frozen=True, slots=True)
class RehearsalFiles:
    """The files of both daemons as text."""

    postfix: PostfixFiles
    dovecot: str


def choose_services(protocols: Sequence[str]) -> tuple[str, ...]:
    """Return the services to open: Postfix' own, and one of Dovecot's if it has any."""
    spoken = (name for name in _DOVECOT_SERVICES if str(SERVICES[name].protocol) in protocols)
    return (_POSTFIX_SERVICE, *[*spoken][:1])


def state_to_rehearse(asked: DesiredState, ports: Mapping[str, int]) -> DesiredState:
    """Return the state with these services (name to port) open, and everything else closed."""
    listeners = (
        ListenerState(
            service=name,
            is_enabled=name in ports,
            address=ADDRESS,
            port=ports.get(name, service.port),
            tls_mode=service.usual_tls_mode,
            is_login_required=service.is_login_expected,
        )
        for name, service in SERVICES.items()
        if service.daemon is Daemon.POSTFIX or service.protocol in _PROTOCOLS
    )
    return replace(asked, host_name=_HOST_NAME, listeners=tuple(listeners), sni_bindings=())


def render(state: DesiredState, places: Places, installed: Installed) -> RehearsalFiles:
    """Return the files; ``state`` is one of :func:`state_to_rehearse`."""
    found = PostfixFiles(_main_cf(places, installed), _MASTER_CF)
    # No map is ever compiled: a state to rehearse binds no names.
    written = postfix.render(state, found, live=places.pem_folder, map_type="")
    spoken = [str(item) for item in _spoken(state)]
    dropin = dovecot.render(
        state, version=installed.dovecot_version, live=places.pem_folder, protocols=spoken
    )
    return RehearsalFiles(written, _dovecot_conf(places, installed, spoken) + dropin)


def pem_files(state: DesiredState) -> dict[str, bytes]:
    """Return the files that the daemons read keys and certificates from."""
    return {
        name: material.chain_file(certificate).encode()
        for name, fingerprint in material.certificate_files(state).items()
        if (certificate := state.certificate(fingerprint))
    }


def _spoken(state: DesiredState) -> list[Protocol]:
    """Return the protocols that Dovecot is told to speak: those of open ports, or it would open
    the usual ones of the others."""
    return [
        item.definition.protocol
        for item in state.enabled_listeners
        if item.definition.daemon is Daemon.DOVECOT
    ]


def _main_cf(places: Places, installed: Installed) -> str:
    settings = {
        "compatibility_level": "3.6",
        **{name: installed.postfix[name] for name in PARAMETERS},
        "queue_directory": places.queue_directory,
        "data_directory": places.data_directory,
        "maillog_file": places.postfix_log,
        "maillog_file_prefixes": places.postfix_log,
        "inet_interfaces": ADDRESS,
        "inet_protocols": "ipv4",
        "myhostname": _HOST_NAME,
        "mydestination": "",
        "mynetworks": "",
        # The usual one would take another service, which asks the machine's list of users.
        "local_recipient_maps": "",
        "alias_maps": "",
        "alias_database": "",
        "default_transport": "error:5.7.1 No mail is taken here",
        "smtpd_relay_restrictions": "reject",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": places.auth_socket,
        # A service that could not start is tried again after a second, not after a minute.
        "service_throttle_time": "1s",
    }
    return _lines(settings)


def _dovecot_conf(places: Places, installed: Installed, spoken: Sequence[str]) -> str:
    is_new = installed.dovecot_version >= (2, 4)
    versions = {"dovecot_config_version": "2.4.0", "dovecot_storage_version": "2.4.0"}
    settings = {
        # Dovecot 2.4 wants to read this one first.
        **(versions if is_new else {}),
        "base_dir": places.base_dir,
        "state_dir": places.dovecot_state,
        "instance_name": places.instance_name,
        "log_path": places.dovecot_log,
        "listen": ADDRESS,
        "protocols": " ".join(spoken),
        "auth_mechanisms": "plain",
    }
    # A list of users without a line: Dovecot does not offer logins where it knows no list.
    users = (
        ["passdb passwd-file {", f"  passwd_file_path = {dovecot.quote_value(places.users)}", "}"]
        if is_new
        else ["passdb {", "  driver = passwd-file", f"  args = {places.users}", "}"]
    )
    socket = [
        "service auth {",
        "  unix_listener auth-postfix {",
        "    mode = 0600",
        f"    user = {installed.postfix['mail_owner']}",
        "  }",
        "}",
    ]
    quoted = {name: dovecot.quote_value(value) for name, value in settings.items()}
    return _lines(quoted) + "".join(f"{line}\n" for line in (*users, *socket))


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}".rstrip() + "\n" for name, value in settings.items())


# What must be seen


def expectations(state: DesiredState, names: Sequence[str]) -> tuple[Expectation, ...]:
    """Return what each port must show: without a host name, and asked for the first of ``names``
    that a client could ask for."""
    plain = [item for item in proof.expectations(state) if item.is_open]
    asked = [name for name in names if not name.startswith(WILDCARD) and not parse_address(name)]
    named = [replace(item, sni_name=name) for name in asked[:1] for item in plain]
    return (*plain, *named)


def uncovered_problem(names: Sequence[str], certificate_names: Sequence[str]) -> Problem | None:
    """Return which of the names that clients will use the certificate is not for, if any."""
    missing = [name for name in names if not is_covered(name, certificate_names)]
    if not missing:
        return None
    params: dict[str, Param] = {"names": ", ".join(missing[:20]), "count": len(missing)}
    return Problem("rehearsal.name_not_covered", params=params)


def judge(expected: Expectation, seen: Seen, chain: Sequence[str]) -> list[Problem]:
    """Return how what was seen differs from what should be; ``chain`` are the fingerprints of the
    certificates that must come after the leaf, in this order."""
    problems = proof.judge(expected, seen)
    sent = [str(item.get("fingerprint", "")) for item in seen.chain]
    if problems or sent == [*chain]:
        return problems
    params: dict[str, Param] = {
        "address": expected.address,
        "port": expected.port,
        "wanted": len(chain),
        "sent": len(sent),
    }
    return [Problem("rehearsal.other_chain", Severity.ERROR, expected.service, params)]
