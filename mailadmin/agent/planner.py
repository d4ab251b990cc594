"""From a state and the host as it is to what would change. Changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mailadmin.agent.drift import Drift, read_drift
from mailadmin.agent.host import Found, Host, Rendered
from mailadmin.agent.host.dovecot import DovecotTexts
from mailadmin.agent.host.files import to_bytes
from mailadmin.agent.keys import complete_material, host_keys_of
from mailadmin.agent.obstacles import (
    find_host_problems,
    find_missing_protocols,
    find_overwritten,
    find_session_problems,
)
from mailadmin.agent.protocol import AgentError, PlanReport
from mailadmin.mailconf import block, diff, dovecot, front, material, postfix, proof, rules
from mailadmin.mailconf.adopting.keeping import Remaining, subtract
from mailadmin.mailconf.material import paragraphs
from mailadmin.mailconf.profiles import KEPT
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import (
    ANY_ADDRESS,
    DesiredState,
    ListenerState,
)
from mailadmin.pki.problems import Problem, Severity


@dataclass(frozen=True, slots=True)
class Plan:
    """A state made ready for this host: everything an apply needs, and what a reviewer sees."""

    state: DesiredState
    found: Found
    rendered: Rendered
    pem_files: dict[str, bytes]
    manifest_before: str
    problems: tuple[Problem, ...]
    generation: int
    # Keys that the panel does not have and that were found on the host, by public key.
    host_keys: dict[str, str]
    # The services that stay the host's own: nothing is written of them.
    kept_services: frozenset[str]
    # What is written, where the host keeps part of it: a state for each daemon, or one for both.
    parts: tuple[DesiredState, ...]
    # What is open now: where to look after a rollback, and what must be closed if it is left.
    open_before: tuple[ListenerState, ...]
    # What on the host is not what was applied last.
    drift: Drift

    @property
    def digest(self) -> str:
        """Return a SHA-256 over the state, the files as they are and as they would become.

        It changes whenever the host changes under a reviewer's eyes, or another apply came first.
        """
        rendered = self.rendered
        facts = {
            "state": self.state.digest,
            "generation": self.generation,
            "certificates": _hash(self.manifest_before.encode()),
            "before": [_hash(item.content or b"") for item in self.found.files],
            "after": [_hash(to_bytes(text)) for text in rendered.texts],
        }
        return _hash(json.dumps(facts, sort_keys=True).encode())

    @property
    def manifest(self) -> str:
        """Return what the certificate files will hold, without keys."""
        return material.manifest_of(self.state, _certificate_files(self.parts))

    @property
    def postfix_part(self) -> DesiredState:
        """Return what is written for Postfix, its table of host names among it."""
        return self.parts[0]

    @property
    def expected(self) -> tuple[Expectation, ...]:
        """Return what every port must show; one that a listener moves away from must be closed."""
        wanted = tuple(
            replace(item, is_kept=item.service in self.kept_services)
            for item in proof.expectations(self.state)
        )
        known = {item.target for item in wanted}
        left = [
            Expectation(item.service, item.address, item.port, False, item.tls_mode)
            for item in self.open_before
            if not any(_is_on_same_port(item, other) for other in self.state.enabled_listeners)
        ]
        return (*wanted, *(item for item in left if item.target not in known))

    @property
    def has_pairs(self) -> bool:
        """Tell whether two certificates are served side by side anywhere, before or after."""
        roles = paragraphs(self.manifest_before).keys() | paragraphs(self.manifest).keys()
        return any(material.first_of(name) != name for name in roles)

    @property
    def host_names(self) -> tuple[str, ...]:
        """Return the names that have a certificate of their own, before or after; sorted."""
        before = (material.host_name_of(name) for name in paragraphs(self.manifest_before))
        after = (binding.host_name for binding in self.state.sni_bindings)
        return tuple(sorted({*before, *after} - {""}))

    @property
    def changed_daemons(self) -> tuple[Daemon, ...]:
        """Return the daemons to be touched, Dovecot first: Postfix asks it about passwords."""
        is_material = self._changed_roles()
        changed: list[Daemon] = []
        told = self.drift.daemons
        is_changed = self.is_dropin_changed or self.is_split_changed or self.found.is_front_dead
        is_file = {
            Daemon.DOVECOT: is_changed or Daemon.DOVECOT in told,
            Daemon.POSTFIX: self.is_postfix_changed or Daemon.POSTFIX in told,
        }
        if is_file[Daemon.DOVECOT] or any(_is_dovecot_role(name) for name in is_material):
            changed.append(Daemon.DOVECOT)
        if is_file[Daemon.POSTFIX] or any(_is_postfix_role(name) for name in is_material):
            changed.append(Daemon.POSTFIX)
        return tuple(changed)

    @property
    def is_postfix_changed(self) -> bool:
        """Tell whether main.cf or master.cf changes."""
        return self.rendered.postfix != self.found.postfix_files

    @property
    def is_hosts_own(self) -> bool:
        """Tell whether nothing of ours would be left in the daemons' files."""
        files = self.rendered.postfix
        own = postfix.PostfixFiles(
            block.remove_block(files.main_cf), block.remove_block(files.master_cf)
        )
        return files == own and not any((self.rendered.dropin, self.rendered.dovecot.front))

    @property
    def is_dropin_changed(self) -> bool:
        """Tell whether Dovecot's file changes."""
        content = self.found.dropin.content
        return to_bytes(self.rendered.dropin) != (content or b"") or content == b""

    @property
    def rendered_for_dovecot(self) -> dict[str, str]:
        """Return our files of Dovecot by name, the drop-in first, there or not."""
        names = (file.path.name for file in self.found.files)
        named = dict(zip(names, self.rendered.texts[:3], strict=False))
        dropin = self.found.dropin.path.name
        return {name: text for name, text in named.items() if text or name == dropin}

    @property
    def is_split_changed(self) -> bool:
        """Tell whether a file changes by which Dovecot runs as two instances."""
        was = (self.found.core_dropin, self.found.front)
        now = (self.rendered.dovecot.core_dropin, self.rendered.dovecot.front)
        return any(
            to_bytes(text) != (file.content or b"") for text, file in zip(now, was, strict=True)
        )

    @property
    def are_instances_changed(self) -> bool:
        """Tell whether one Dovecot becomes two, two become one, or the first gets other ports."""
        is_split = self.found.front.content is not None
        text = self.rendered.dovecot.core_dropin
        return is_split != bool(self.rendered.dovecot.front) or text != self.found.core_dropin.text

    @property
    def needs_dovecot_reload(self) -> bool:
        """Tell whether a listener or anything but certificates and TLS versions changes."""
        if self.is_split_changed:
            return True
        if self.found.dropin.content is None or not self.rendered.dropin:
            return True
        before, after = self.found.dropin.text, self.rendered.dropin
        # An edited drop-in may not have been read yet: then Dovecot runs on the one applied.
        note = self.drift.note
        running = {before, note.parts.get(self.found.dropin.path.name, before) if note else before}
        wanted = dovecot.reload_part(after)
        return any(dovecot.reload_part(text) != wanted for text in running)

    def report(self) -> PlanReport:
        """Return what the panel shows: diffs without keys, problems, the digest."""
        found, rendered = self.found, self.rendered
        files = [
            diff.compare("main.cf", found.main_cf.text, rendered.postfix.main_cf),
            diff.compare("master.cf", found.master_cf.text, rendered.postfix.master_cf),
            *(
                diff.compare(file.path.name, file.text, text)
                for file, text in zip(found.files[:3], rendered.texts[:3], strict=True)
            ),
            diff.compare("certificates", self.manifest_before, self.manifest),
        ]
        return PlanReport(
            digest=self.digest,
            files=tuple(item.as_dict() for item in files if item),
            problems=self.problems,
            versions=found.versions,
            is_hosts_own=self.is_hosts_own,
        )

    def _changed_roles(self) -> set[str]:
        before, after = paragraphs(self.manifest_before), paragraphs(self.manifest)
        return {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }


def make_plan(state: DesiredState, host: Host) -> Plan:
    """Return the plan. Raises :class:`AgentError` when the host cannot be read or rendered for.

    What merely forbids applying is a problem of the plan, so that a reviewer sees all of it.
    """
    found = host.read()
    drift = read_drift(host)
    generation = host.store.generation
    remaining = _remaining(state, host, found)
    completed, problems = complete_material(state, host, found, remaining)
    parts = tuple(part.with_certificates(completed.certificates) for part in remaining.parts)
    problems += rules.check_state(completed, datetime.now(UTC))
    problems += postfix.find_problems(parts[0], found.postfix_files)
    problems += find_missing_protocols(parts[-1], found)
    problems = [*remaining.problems, *_soften(problems, completed, remaining)]
    open_before = tuple(item for item in host.read_listeners(found) if item.is_enabled)
    live = str(host.store.live)
    base = host.read_dovecot_base() if state.is_dovecot_split else None
    problems += front.find_problems(base) if base else []
    if any(item.code in _UNRENDERABLE for item in problems):
        # Nothing sensible can be written; the host stays as it is and the reasons are shown.
        rendered = Rendered(found.postfix_files, found.dovecot_texts)
    else:
        rendered = _render(parts, found, live)
        if base:
            core, ports = front.render_core(base), front.render_front(base, host.dovecot.places)
            texts = replace(rendered.dovecot, core_dropin=core, front=ports)
            rendered = replace(rendered, dovecot=texts)
        problems += find_host_problems(completed, host, found, open_before, remaining.kept_services)
        problems += find_session_problems(found, rendered)
        problems += find_overwritten(drift, found, rendered, completed)
    return Plan(
        state=completed,
        found=found,
        rendered=rendered,
        pem_files=_pem_files(completed, parts),
        manifest_before=drift.manifest if drift.note else _read_manifest(host),
        problems=tuple(sorted(problems, key=lambda item: list(Severity).index(item.severity))),
        generation=generation,
        host_keys=host_keys_of(state, completed),
        kept_services=remaining.kept_services,
        parts=parts,
        open_before=open_before,
        drift=drift,
    )


_OF_SHARING = frozenset({"certificate.own_with_sni", "certificate.shared_by_protocol"})
_UNRENDERABLE = frozenset(
    {
        "profile.unknown", "sni.name_invalid", "listener.address_invalid", "listener.port_invalid",
        "listener.tls_mode_impossible", "certificate.unknown", "certificate.own_with_sni",
        "certificate.shared_by_protocol", "postfix.block_damaged", "front.key_password",
        "front.login_service_changed",
    }
)  # fmt: skip


def _remaining(state: DesiredState, host: Host, found: Found) -> Remaining:
    """Return what is to be written: all of it, but what the host keeps under its own profile."""
    if state.tls_profile != KEPT:
        return Remaining(state, state, frozenset())
    return subtract(state, host.read_base(found))


def _soften(
    problems: Sequence[Problem], state: DesiredState, remaining: Remaining
) -> Iterator[Problem]:
    """Yield the problems; what stays the host's own is shown, and refuses nothing."""
    kept = remaining.kept_services
    written = {item for part in remaining.parts for item in part.used_fingerprints}
    for problem in problems:
        if problem.code in _OF_SHARING and problem.subject in kept:
            # Dovecot does it already, by its own files.
            continue
        is_kept = problem.subject in kept or (
            state.certificate(problem.subject) is not None and problem.subject not in written
        )
        is_error = problem.severity is Severity.ERROR and problem.code not in _UNRENDERABLE
        yield replace(problem, severity=Severity.WARNING) if is_kept and is_error else problem


def _render(parts: tuple[DesiredState, ...], found: Found, live: str) -> Rendered:
    files = postfix.render(parts[0], found.postfix_files, live=live, map_type=found.map_type)
    dropin = dovecot.render(
        parts[-1], version=found.dovecot_numbers, live=live, protocols=found.dovecot.protocols
    )
    return Rendered(files, DovecotTexts(dropin))


def _is_on_same_port(before: ListenerState, after: ListenerState) -> bool:
    """Tell whether a port stays open: the same, or one on every address in its place."""
    return before.port == after.port and after.address in {before.address, ANY_ADDRESS}


def _certificate_files(parts: Iterable[DesiredState]) -> dict[str, str]:
    """Return every PEM file and its leaf; where both daemons name one, it is the same."""
    files: dict[str, str] = {}
    for part in parts:
        files |= material.certificate_files(part)
    return files


def _pem_files(state: DesiredState, parts: Sequence[DesiredState]) -> dict[str, bytes]:
    named = _certificate_files(parts)
    manifest = material.manifest_of(state, named)
    files: dict[str, bytes] = {material.MANIFEST: manifest.encode()}
    for name, fingerprint in named.items():
        certificate = state.certificate(fingerprint)
        if certificate:
            files[name] = material.chain_file(certificate).encode()
    return files


def _read_manifest(host: Host) -> str:
    try:
        return (host.store.live / material.MANIFEST).read_text(encoding="utf-8")
    except OSError:
        return ""


def _is_dovecot_role(name: str) -> bool:
    first = material.first_of(name)
    return first in {"imap.pem", "pop3.pem", "sieve.pem"} or _is_shared_role(name)


def _is_postfix_role(name: str) -> bool:
    return not _is_dovecot_role(name) or _is_shared_role(name)


def _is_shared_role(name: str) -> bool:
    return material.first_of(name) == material.DEFAULT or name.startswith("sni-")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refuse_if_forbidden(plan: Plan) -> None:
    """Raise :class:`AgentError` with the first error of the plan, if it has one."""
    for problem in plan.problems:
        if problem.severity is Severity.ERROR:
            raise AgentError(problem)
