"""Compare the host with what the last apply left on it. Changes nothing, tells no daemon.

What an apply leaves is noted beside its generation of PEM files: the panel's part of main.cf and
master.cf, the drop-in, and a digest of every file of the generation. What else an admin does to
his files is his own business and no drift.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from mailadmin.agent.host import Host
from mailadmin.agent.host.files import FileState
from mailadmin.agent.protocol import AgentError, CheckReport, Piece, PieceStatus
from mailadmin.mailconf import diff, dovecot_settings, material, postfix
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState, StateError
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.chain import order_chain
from mailadmin.pki.keys import public_key_id
from mailadmin.pki.parts import read_parts

_LABELS = ("as applied", "now")
_OUTSIDE = "changed outside the panel"
_MAIN_CF, _MASTER_CF = "main.cf", "master.cf"
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Note:
    """What an apply leaves on the host. Holds digests and public parts, no key.

    ``parts`` are main.cf, master.cf and the drop-in as far as they are the panel's, ``files`` the
    SHA-256 of each file of the generation.
    """

    generation: int
    state: DesiredState
    versions: Mapping[str, str]
    parts: Mapping[str, str]
    files: Mapping[str, str]
    manifest: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "generation": self.generation,
            "state": self.state.as_dict(),
            "versions": dict(self.versions),
            "parts": dict(self.parts),
            "files": dict(self.files),
            "manifest": self.manifest,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form back. Raises ``KeyError``, ``TypeError`` or ``StateError``."""
        return cls(**{**value, "state": DesiredState.from_dict(value["state"])})


@dataclass(frozen=True, slots=True)
class Drift:
    """Every piece beside what was noted of it; without a note nothing can be said."""

    note: Note | None
    pieces: tuple[Piece, ...] = ()
    files: PostfixFiles = field(default_factory=lambda: PostfixFiles("", ""))
    dropin: str = ""

    @property
    def drifted(self) -> dict[str, Piece]:
        """Return the pieces that are not what was applied, by name."""
        return {item.name: item for item in self.pieces if item.is_drifted}

    @property
    def daemons(self) -> frozenset[Daemon]:
        """Return whose configuration drifted: nobody knows which of its versions it runs on."""
        drifted = self.drifted.keys() & (self.note.parts.keys() if self.note else set())
        return frozenset(
            Daemon.POSTFIX if name in {_MAIN_CF, _MASTER_CF} else Daemon.DOVECOT for name in drifted
        )

    @property
    def manifest(self) -> str:
        """Return the noted manifest, with a paragraph of its own for each file that differs."""
        noted = self.note.manifest if self.note else ""
        changed = self.drifted.keys() & (self.note.files.keys() if self.note else set())
        if not changed:
            return noted
        found = material.paragraphs(noted)
        for name in changed:
            found[name] = "\n".join(_without_marks(self.drifted[name]))
        return "\n\n".join(found[name] for name in sorted(found)) + "\n"


def make_note(
    generation: int,
    state: DesiredState,
    versions: Mapping[str, str],
    files: PostfixFiles,
    dovecot: Mapping[str, str],
    generation_files: Mapping[str, bytes],
    manifest: str,
) -> Note:
    """Return the note of an apply that is about to put these files in place.

    ``state`` is what is written for Postfix; what its own files say already is not the panel's.
    ``dovecot`` are the names and texts of our files of Dovecot, the drop-in first.
    """
    owned = postfix.read_owned(state, files)
    served = {name: text for name, text in generation_files.items() if name != material.MANIFEST}
    return Note(
        generation=generation,
        state=state,
        versions=versions,
        parts={_MAIN_CF: owned.main_cf, _MASTER_CF: owned.master_cf, **dovecot},
        files={name: _digest(content) for name, content in served.items()},
        manifest=manifest,
    )


def read_drift(host: Host) -> Drift:
    """Return how what was applied stands now. Raises :class:`AgentError`."""
    note = _read_note(host)
    if note is None:
        return Drift(None)
    main_cf, master_cf, *dovecot = host.read_owned_files()
    files = PostfixFiles(main_cf.text, master_cf.text)
    owned = postfix.read_owned(note.state, files)
    parts = (
        (main_cf, owned.main_cf),
        (master_cf, owned.master_cf),
        *((file, file.text) for file in dovecot),
    )
    pieces = [
        *(
            _compare_part(name, text, file, part)
            # A note of before Dovecot could be split has fewer.
            for (name, text), (file, part) in zip(note.parts.items(), parts, strict=False)
        ),
        *_compare_files(host, note),
    ]
    return Drift(note, tuple(pieces), files, dovecot[0].text)


def check(host: Host) -> CheckReport:
    """Return what the panel is told. Raises :class:`AgentError`."""
    drift = read_drift(host)
    return CheckReport(
        is_noted=drift.note is not None,
        generation=host.store.generation,
        versions=host.read_versions(),
        versions_applied=drift.note.versions if drift.note else {},
        pieces=drift.pieces,
        listeners=tuple(_changed_listeners(drift)),
    )


def _read_note(host: Host) -> Note | None:
    value = host.store.read_note()
    try:
        return Note.from_dict(value) if value else None
    except (KeyError, TypeError, AttributeError, StateError):
        return None


def _compare_part(name: str, noted: str, file: FileState, now: str) -> Piece:
    """Compare our part of a file; of one that is gone, everything is missing.

    The drop-in is not there while nothing is written for Dovecot.
    """
    status = PieceStatus.AS_APPLIED if noted == now else PieceStatus.CHANGED
    if file.content is None and (noted or name in {_MAIN_CF, _MASTER_CF}):
        status, now = PieceStatus.MISSING, ""
    difference = diff.compare(name, noted, now, _LABELS)
    return replace(
        _piece(name, status, file),
        digest=_digest(now.encode("utf-8", "surrogateescape")),
        lines=difference.lines if difference else (),
    )


def _compare_files(host: Host, note: Note) -> Iterator[Piece]:
    """Compare the files of the generation; only one that differs is opened up and described."""
    paragraphs = material.paragraphs(note.manifest)
    for name, noted in note.files.items():
        try:
            file = host.store.read_served(name)
        except AgentError:
            # Something stands there that is no file: as good as gone.
            file = FileState(host.store.live / name, None)
        content = file.content
        if content is not None and _digest(content) == noted:
            yield _piece(name, PieceStatus.AS_APPLIED, file)
            continue
        status = PieceStatus.MISSING if content is None else PieceStatus.CHANGED
        known = paragraphs.get(name, name)
        shown, certificate = _describe(name, content)
        yield replace(
            _piece(name, status, file),
            lines=(*(f"-{line}" for line in known.splitlines()), *(f"+{line}" for line in shown)),
            certificate=certificate,
        )


def _piece(name: str, status: PieceStatus, file: FileState) -> Piece:
    if file.content is None:
        return Piece(name, status)
    moment = datetime.fromtimestamp(file.modified_at, UTC).isoformat(timespec="seconds")
    return Piece(name, status, _digest(file.content), moment, file.uid)


def _without_marks(piece: Piece) -> list[str]:
    return [line[1:] for line in piece.lines if line.startswith("+")]


def _describe(name: str, content: bytes | None) -> tuple[list[str], Mapping[str, str] | None]:
    """Return what a file of the generation holds, public parts only, and its certificate."""
    if content is None:
        return [name, "  missing"], None
    lines = [name, f"  {_OUTSIDE}", f"  file SHA-256  {_digest(content)}"]
    parts = read_parts([content])
    if not name.endswith(".pem"):
        return lines, None
    if not parts.certificates:
        return [*lines, "  leaf          none"], None
    keys = {public_key_id(key) for key in parts.private_keys}
    leaf = next((one for one in parts.certificates if one.public_key_id in keys), None)
    shown = leaf or parts.certificates[0]
    key = "fits" if leaf else "of another certificate" if keys else "missing"
    lines += [
        f"  leaf SHA-256  {shown.fingerprint}",
        f"  names         {', '.join(map(ascii, shown.names[:_MOST_NAMES]))}",
        f"  valid until   {shown.not_after:%Y-%m-%d %H:%M} UTC",
        f"  key           {key}",
    ]
    return lines, _as_certificate(leaf, parts.certificates) if leaf else None


def _as_certificate(
    leaf: CertificateFacts, others: tuple[CertificateFacts, ...]
) -> Mapping[str, str]:
    rest = [item for item in others if item.fingerprint != leaf.fingerprint]
    chain = "".join(item.pem for item in order_chain(leaf, rest).chain)
    return {"fingerprint": leaf.fingerprint, "leaf_pem": leaf.pem, "chain_pem": chain}


def _changed_listeners(drift: Drift) -> Iterator[dict[str, object]]:
    """Return the listeners that the changed files ask for, as far as they are still there."""
    statuses = {item.name: item.status for item in drift.pieces}
    if Daemon.POSTFIX in drift.daemons and PieceStatus.MISSING not in {
        statuses[_MAIN_CF],
        statuses[_MASTER_CF],
    }:
        yield from (item.as_dict() for item in postfix.read_listeners(drift.files))
    if Daemon.DOVECOT in drift.daemons and drift.dropin:
        settings = dovecot_settings.read_settings(drift.dropin)
        every = {("protocols",): "imap pop3 sieve"}
        with_protocols = replace(settings, values=settings.values | every)
        yield from (item.as_dict() for item in dovecot_settings.read_listeners(with_protocols))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
