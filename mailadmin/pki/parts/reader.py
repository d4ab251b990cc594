"""The reader behind :func:`read_parts`; the package says what it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailadmin.pki.certificate import (
    CERTIFICATE_LABELS,
    CertificateFacts,
    CertificateProblem,
    read_certificate,
)
from mailadmin.pki.csr import CSR_LABEL, CSR_LABELS, is_request
from mailadmin.pki.der import DerError, Element, is_der, read_element, read_elements, to_der
from mailadmin.pki.facts import UNREADABLE
from mailadmin.pki.keys import (
    KEY_LABELS,
    KeyProblem,
    PrivateKey,
    load_key_block,
    load_private_key,
    public_key_id,
)
from mailadmin.pki.parts.formats import (
    decode_bare_base64,
    find_foreign,
    find_limit,
)
from mailadmin.pki.parts.found import FileFound, FileKind, Parts, count_found
from mailadmin.pki.parts.loose import LOOSE_KEY_LABELS, find_loose_key
from mailadmin.pki.pem import PemBlock, decode_text, find_blocks
from mailadmin.pki.pkcs7 import find_certificates, is_pkcs7
from mailadmin.pki.pkcs12 import is_pkcs12, read_pkcs12
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.zips import is_zip, read_zip

MAX_BLOCKS = 40
MAX_KEYS = 4  # each may be encrypted in a way that is made to be slow
_MAX_WRITTEN_BYTES = 1024 * 1024
_TRUSTED_LABEL = "TRUSTED CERTIFICATE"  # OpenSSL's: a certificate, and then its own remarks
_PKCS7_LABEL = "PKCS7"
_CONTAINER_LABELS = frozenset(
    {_PKCS7_LABEL, "CMS", "PKCS #7 SIGNED DATA", "CERTIFICATE CHAIN", "PKCS12", "PFX"}
)
_FILLING = b"\0\t\n\r "


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something stands: the part, and the file in it if the part is a zip file."""

    part: int
    member: str = ""

    @property
    def params(self) -> dict[str, Param]:
        """The parameters that tell the place."""
        return {"part": self.part, "member": self.member} if self.member else {"part": self.part}


def read_parts(
    inputs: Sequence[bytes],
    password: str | None = None,
    *,
    written: Sequence[bytes] = (),
    takes_pkcs12: bool = True,
) -> Parts:
    """Take an upload apart; see the package.

    ``written`` are certificates and keys that were read before and written out by the panel, with
    no limit to the size of one; they count as no part. Without ``takes_pkcs12`` nothing is opened
    whose author says how long that takes. Never raises for hostile input: what cannot be read
    becomes a problem.
    """
    reader = _Reader(password, takes_pkcs12=takes_pkcs12)
    for part, content in enumerate(inputs[:MAX_BLOCKS], 1):
        reader.read_part(part, content)
    for content in written:
        reader.read_written(content)
    if len(inputs) > MAX_BLOCKS:
        reader.complain("bundle.too_many_blocks", limit=MAX_BLOCKS)
    return reader.collect()


class _Reader:
    """Collects what one input after the other holds."""

    def __init__(self, password: str | None, *, takes_pkcs12: bool) -> None:
        self._password = password
        self._takes_pkcs12 = takes_pkcs12
        self._certificates: list[CertificateFacts] = []
        self._keys: list[PrivateKey] = []
        self._refused_key_ids: set[str] = set()
        self._ignored: Counter[str] = Counter()
        self._loose_keys: set[bytes] = set()
        # What is an error when nothing else was understood, and else only a warning.
        self._leftovers: list[Problem] = []
        self._problems: list[Problem] = []
        self._files: list[FileFound] = []
        self._kind = FileKind.TEXT
        self._times_read = 0
        self._blocks_met = 0
        self._keys_opened = 0

    def read_part(self, part: int, content: bytes) -> None:
        """Read one pasted text or one file, and note what it was."""
        certificates, keys, requests = self._marks()
        before = self._times_read
        self._read_content(_Place(part), content)
        if self._times_read > before:
            found = count_found(
                self._certificates[certificates:],
                keys=len(self._keys) - keys,
                requests=self._count_requests() - requests,
            )
            self._files.append(FileFound(part, self._kind, found))

    def read_written(self, content: bytes) -> None:
        """Read what the panel wrote."""
        if len(content) <= _MAX_WRITTEN_BYTES:
            self._read_text(_Place(0), content)

    def complain(self, code: str, severity: Severity = Severity.ERROR, **params: Param) -> None:
        """Add a problem, unless the very same one is known."""
        self._add(Problem(code, severity, params=params))

    def _complain_at(self, place: _Place, code: str, **params: Param) -> None:
        self._add(Problem(code, params={**place.params, **params}))

    def _pass_on(self, place: _Place, problems: Sequence[Problem]) -> None:
        """Take over problems of a file, with its place."""
        for problem in problems:
            self._complain_at(place, problem.code, **problem.params)

    def collect(self) -> Parts:
        """Return everything found, with the problems that only the whole shows."""
        if not (self._times_read or self._leftovers or self._problems):
            self.complain("bundle.empty")
        severity = Severity.WARNING if self._times_read else Severity.ERROR
        for problem in self._leftovers:
            self._add(Problem(problem.code, severity, params=problem.params))
        for label, count in sorted(self._ignored.items()):
            self.complain("bundle.block_ignored", Severity.INFO, label=label, count=count)
        keys = {public_key_id(key): key for key in self._keys}
        if len(keys) > 1:
            self.complain("bundle.several_keys", Severity.WARNING, count=len(keys))
        return Parts(
            certificates=tuple(self._certificates),
            private_keys=tuple(keys.values()),
            refused_key_ids=frozenset(self._refused_key_ids - {""}),
            requests=self._count_requests(),
            loose_keys=tuple(sorted(self._loose_keys)),
            problems=tuple(self._problems),
            files=tuple(self._files),
        )

    def _marks(self) -> tuple[int, int, int]:
        return len(self._certificates), len(self._keys), self._count_requests()

    def _count_requests(self) -> int:
        return sum(self._ignored[label] for label in CSR_LABELS)

    # One input

    def _read_content(self, place: _Place, content: bytes) -> None:
        limit = find_limit(content)
        foreign = find_foreign(content)
        if len(content) > limit:
            self._complain_at(place, "bundle.too_large", limit=limit // 1024)
        elif is_zip(content):
            self._read_zip(place, content)
            self._kind = FileKind.ZIP
        elif is_der(content):
            self._kind = FileKind.DER
            self._read_structures(place, content)
        elif foreign:
            self._leave(place, "bundle.foreign", kind=foreign)
        elif content.strip():
            self._kind = FileKind.TEXT
            self._read_text(place, content)

    def _leave(self, place: _Place, code: str, **params: Param) -> None:
        self._leftovers.append(Problem(code, params={**place.params, **params}))

    def _read_zip(self, place: _Place, content: bytes) -> None:
        """Read the members; a read-me beside certificates is not worth a word."""
        if place.member:
            self._leave(place, "zip.nested")
            return
        unpacked = read_zip(content)
        self._pass_on(place, unpacked.problems)
        before, left = self._times_read, len(self._leftovers)
        for member in unpacked.members:
            self._read_content(_Place(place.part, member.name), member.content)
        kept = [found for found in self._leftovers[left:] if found.code == "zip.nested"]
        self._leftovers[left:] = kept
        if self._times_read == before and not (kept or unpacked.problems):
            self._leave(place, "bundle.garbage")

    def _read_structures(self, place: _Place, content: bytes) -> None:
        """Read one or more structures that follow each other."""
        rest = content
        while rest.strip(_FILLING):
            try:
                der, end = to_der(rest)
            except DerError:
                self._leave(place, "bundle.garbage")
                return
            if not self._may_read_block():
                return
            if not self._read_structure(place, der):
                self._leave(place, "bundle.garbage")
            rest = rest[end:].lstrip(_FILLING)

    def _read_text(self, place: _Place, content: bytes) -> None:
        text = decode_text(content)
        blocks = list(find_blocks(text))
        bare = None if blocks else decode_bare_base64(text)
        if bare is not None:
            self._read_structures(place, bare)
        elif not blocks:
            self._leave(place, "bundle.garbage")
        for block in blocks:
            if self._may_read_block() and not self._read_block(place, block):
                self._complain_at(
                    place, "bundle.block_unreadable", line=block.line, label=block.label
                )

    def _may_read_block(self) -> bool:
        self._blocks_met += 1
        if self._blocks_met > MAX_BLOCKS:
            self.complain("bundle.too_many_blocks", limit=MAX_BLOCKS)
        return self._blocks_met <= MAX_BLOCKS

    # One block or structure. Each of these tells whether it is of a kind we know.

    def _read_block(self, place: _Place, block: PemBlock) -> bool:
        """Read a block by its label, or, where that is not what it holds, by its content."""
        content, label = block.content, block.label
        if content is None:
            return False
        if label in KEY_LABELS:
            return self._read_key(lambda: load_key_block(block, self._password)) or (
                not block.headers and self._read_key(lambda: load_private_key(content))
            )
        if label in CERTIFICATE_LABELS and self._read_certificate(place, content):
            return True
        if label == _TRUSTED_LABEL:
            return self._read_certificate(place, _first_element(content))
        if self._read_container(place, content):
            return True
        if label in CERTIFICATE_LABELS or label in _CONTAINER_LABELS:
            return False
        self._ignore(label, content)
        return True

    def _read_structure(self, place: _Place, der: bytes) -> bool:
        return (
            self._read_container(place, der)
            or self._read_certificate(place, der)
            or self._read_request(der)
            or self._read_key(lambda: load_private_key(der, self._password))
        )

    def _read_container(self, place: _Place, content: bytes) -> bool:
        try:
            der, _ = to_der(content)
            element = read_element(der)
        except DerError:
            return False
        if is_pkcs7(element):
            self._kind = FileKind.PKCS7
            self._read_pkcs7(place, element)
        elif self._takes_pkcs12 and is_pkcs12(element):
            self._kind = FileKind.PKCS12
            self._read_pkcs12(place, element)
        else:
            return False
        return True

    def _read_pkcs7(self, place: _Place, element: Element) -> None:
        try:
            certificates = find_certificates(element)
        except DerError:
            self._complain_at(place, "bundle.file_unreadable", kind=str(FileKind.PKCS7))
            return
        if not certificates:  # a message, encrypted or signed
            self._ignore(_PKCS7_LABEL, element.encoded)
        for der in certificates:
            if self._may_read_block() and not self._read_certificate(place, der):
                self._complain_at(place, "bundle.file_unreadable", kind=str(FileKind.PKCS7))

    def _read_pkcs12(self, place: _Place, element: Element) -> None:
        content = read_pkcs12(element, self._password, max_keys=MAX_KEYS - self._keys_opened)
        self._pass_on(place, content.problems)
        self._times_read += 1
        for der in content.certificates:
            if self._may_read_block() and not self._read_certificate(place, der):
                self._complain_at(place, "pkcs12.unreadable")
        for der in content.keys:
            self._read_packed_key(place, der)
        if content.keys_left:
            self.complain("bundle.too_many_keys", limit=MAX_KEYS)

    def _read_packed_key(self, place: _Place, der: bytes) -> None:
        if not self._read_key(lambda: load_private_key(der)):
            self._complain_at(place, "pkcs12.unreadable")

    def _read_certificate(self, place: _Place, der: bytes) -> bool:
        try:
            self._certificates.append(read_certificate(der))
        except CertificateProblem as error:
            if error.problem.code == UNREADABLE:
                return False
            self._complain_at(place, error.problem.code, **error.problem.params)
        self._times_read += 1
        return True

    def _read_request(self, der: bytes) -> bool:
        """Recognise a request, whatever may be wrong with it: none is what belongs here."""
        if not is_request(der):
            return False
        self._ignore(CSR_LABEL, der)
        return True

    def _ignore(self, label: str, content: bytes) -> None:
        self._times_read += 1
        self._ignored[label] += 1
        key = find_loose_key(label, content) if label in LOOSE_KEY_LABELS else None
        if key is not None:
            self._loose_keys.add(key)

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
            self._refused_key_ids.add(error.public_key_id)
        else:
            self._keys.append(key)
        self._times_read += 1
        self._keys_opened += 1
        return True

    def _add(self, problem: Problem) -> None:
        if problem not in self._problems:
            self._problems.append(problem)


def _first_element(content: bytes) -> bytes:
    try:
        return next((element.encoded for element in read_elements(content)), b"")
    except DerError:
        return b""
