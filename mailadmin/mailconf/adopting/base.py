"""What a host's own files say, the panel's part left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import ListenerState
from mailadmin.pki.problems import Problem, Severity

# Certificate and key files that are used together, as the configuration spells them.
FileGroup = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundListener:
    """A listener as found. ``files`` is what it serves; own where it does not inherit them."""

    state: ListenerState
    files: FileGroup = ()
    has_own_files: bool = False


@dataclass(frozen=True, slots=True)
class DaemonBase:
    """One daemon: its listeners, the files for all of them, and those for host names."""

    listeners: tuple[FoundListener, ...] = ()
    files: FileGroup = ()
    names: Mapping[str, FileGroup] = field(default_factory=dict)
    findings: tuple[Problem, ...] = ()

    @property
    def file_groups(self) -> frozenset[FileGroup]:
        """Return every group of files that is used somewhere."""
        used = {item.files for item in self.listeners if item.state.is_enabled}
        return frozenset({self.files, *used, *self.names.values()} - {()})


@dataclass(frozen=True, slots=True)
class Base:
    """Both daemons, and which leaves each group of files holds (SHA-256 fingerprints)."""

    postfix: DaemonBase
    dovecot: DaemonBase
    leaves: Mapping[FileGroup, frozenset[str]] = field(default_factory=dict)

    def of(self, daemon: Daemon) -> DaemonBase:
        """Return one daemon's part."""
        return self.postfix if daemon is Daemon.POSTFIX else self.dovecot

    def leaves_in(self, files: FileGroup) -> frozenset[str]:
        """Return the fingerprints of what these files serve; none if they cannot be read."""
        return self.leaves.get(files, frozenset())

    @property
    def listeners(self) -> tuple[FoundListener, ...]:
        """Return the listeners of both daemons."""
        return (*self.postfix.listeners, *self.dovecot.listeners)


def found(
    code: str, file: str, line: int, text: str, severity: Severity = Severity.WARNING
) -> Problem:
    """Return a finding: what, in which file and line, and the line itself in short."""
    shown = " ".join(text.split())[:200]
    return Problem(code, severity, f"{file}:{line}", {"file": file, "line": line, "text": shown})
