"""Taking an upload apart: whatever was pasted or dropped becomes certificates, keys and problems.

==========================  ==========  ===========================================================
code                        severity    params
==========================  ==========  ===========================================================
bundle.empty                error
bundle.too_large            error       part, limit (KiB)
bundle.too_many_blocks      error       limit
bundle.too_many_keys        error       limit
bundle.garbage              error, or   part; only a warning when other parts were understood
                            warning
bundle.block_unreadable     error       part, line, label
bundle.block_ignored        info        label, count
bundle.several_keys         warning     count
key.*                       error       as in ``keys``; ``key.unreadable`` is told by its block
==========================  ==========  ===========================================================

Parts and lines are counted from 1. Nothing here raises for any input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailadmin.pki.certificate import (
    CERTIFICATE_LABELS,
    CertificateFacts,
    CertificateProblem,
    read_certificate,
)
from mailadmin.pki.csr import CSR_LABEL, CSR_LABELS, CsrProblem, read_csr
from mailadmin.pki.der import is_der
from mailadmin.pki.keys import (
    KEY_LABELS,
    KeyProblem,
    PrivateKey,
    load_key_block,
    load_private_key,
    public_key_id,
)
from mailadmin.pki.pem import PemBlock, decode_text, find_blocks
from mailadmin.pki.problems import Param, Problem, Severity

MAX_INPUT_BYTES = 64 * 1024
MAX_BLOCKS = 40
MAX_KEYS = 4  # each may be encrypted in a way that is made to be slow


@dataclass(frozen=True)
class Parts:
    """What an upload holds, in the order found. ``requests`` counts signing requests."""

    certificates: tuple[CertificateFacts, ...] = ()
    private_keys: tuple[PrivateKey, ...] = field(default=(), repr=False)
    requests: int = 0
    problems: tuple[Problem, ...] = ()


def read_parts(inputs: Sequence[bytes], password: str | None = None) -> Parts:
    """Take an upload apart: PEM blocks in any order and encoding, or one DER structure per input.

    Never raises for hostile input: what cannot be read becomes a problem.
    """
    reader = _Reader(password)
    for part, content in enumerate(inputs[:MAX_BLOCKS], 1):
        reader.read_input(part, content)
    if len(inputs) > MAX_BLOCKS:
        reader.complain("bundle.too_many_blocks", limit=MAX_BLOCKS)
    return reader.collect()


class _Reader:
    """Collects what one input after the other holds."""

    def __init__(self, password: str | None) -> None:
        self._password = password
        self._certificates: list[CertificateFacts] = []
        self._keys: dict[str, PrivateKey] = {}
        self._ignored: Counter[str] = Counter()
        self._garbage: list[int] = []
        self._problems: list[Problem] = []
        self._is_anything_read = False
        self._blocks_met = 0
        self._keys_opened = 0

    def read_input(self, part: int, content: bytes) -> None:
        """Read one pasted text or one file."""
        if len(content) > MAX_INPUT_BYTES:
            self.complain("bundle.too_large", part=part, limit=MAX_INPUT_BYTES // 1024)
        elif is_der(content):
            if self._may_read_block() and not self._read_der(content):
                self._garbage.append(part)
        elif content.strip():
            self._read_text(part, content)

    def complain(self, code: str, severity: Severity = Severity.ERROR, **params: Param) -> None:
        """Add a problem, unless the very same one is known."""
        self._add(Problem(code, severity, params=params))

    def collect(self) -> Parts:
        """Return everything found, with the problems that only the whole shows."""
        if not (self._is_anything_read or self._garbage or self._problems):
            self.complain("bundle.empty")
        for part in self._garbage:
            severity = Severity.WARNING if self._is_anything_read else Severity.ERROR
            self.complain("bundle.garbage", severity, part=part)
        for label, count in sorted(self._ignored.items()):
            self.complain("bundle.block_ignored", Severity.INFO, label=label, count=count)
        if len(self._keys) > 1:
            self.complain("bundle.several_keys", Severity.WARNING, count=len(self._keys))
        return Parts(
            certificates=tuple(self._certificates),
            private_keys=tuple(self._keys.values()),
            requests=sum(self._ignored[label] for label in CSR_LABELS),
            problems=tuple(self._problems),
        )

    def _read_text(self, part: int, content: bytes) -> None:
        blocks = list(find_blocks(decode_text(content)))
        if not blocks:
            self._garbage.append(part)
        for block in blocks:
            if self._may_read_block() and not self._read_block(block):
                self.complain(
                    "bundle.block_unreadable", part=part, line=block.line, label=block.label
                )

    def _may_read_block(self) -> bool:
        self._blocks_met += 1
        if self._blocks_met > MAX_BLOCKS:
            self.complain("bundle.too_many_blocks", limit=MAX_BLOCKS)
        return self._blocks_met <= MAX_BLOCKS

    def _read_block(self, block: PemBlock) -> bool:
        """Read a block by its label. Return whether it could be read."""
        if block.content is None:
            return False
        if block.label in CERTIFICATE_LABELS:
            return self._read_certificate(block.content)
        if block.label in KEY_LABELS:
            return self._read_key(lambda: load_key_block(block, self._password))
        self._ignore(block.label)
        return True

    def _read_der(self, content: bytes) -> bool:
        """Read a file that is one DER structure. Return whether it is of a kind we know."""
        return (
            self._read_certificate(content)
            or self._read_request(content)
            or self._read_key(lambda: load_private_key(content, self._password))
        )

    def _read_certificate(self, der: bytes) -> bool:
        try:
            self._certificates.append(read_certificate(der))
        except CertificateProblem:
            return False
        self._is_anything_read = True
        return True

    def _read_request(self, der: bytes) -> bool:
        try:
            read_csr(der)
        except CsrProblem:
            return False
        self._ignore(CSR_LABEL)
        return True

    def _ignore(self, label: str) -> None:
        self._is_anything_read = True
        self._ignored[label] += 1

    def _read_key(self, load: Callable[[], PrivateKey]) -> bool:
        if self._keys_opened == MAX_KEYS:
            self.complain("bundle.too_many_keys", limit=MAX_KEYS)
            return True
        try:
            key = load()
        except KeyProblem as error:
            if error.problem.code == "key.unreadable":
                return False
            self._add(error.problem)
        else:
            self._keys[public_key_id(key)] = key
        self._is_anything_read = True
        self._keys_opened += 1
        return True

    def _add(self, problem: Problem) -> None:
        if problem not in self._problems:
            self._problems.append(problem)
