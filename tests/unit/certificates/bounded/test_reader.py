"""Whatever a child does, its parent gets an answer or a reason, in time, and no zombie."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from mailadmin.certificates import bounded
from mailadmin.certificates.bounded import (
    BoundedReader,
    Limits,
    ReadingProblem,
    allowance,
    find_stop,
)
from mailadmin.certificates.bounded import reader as reader_module
from mailadmin.certificates.bounded.allowance import Allowance
from mailadmin.certificates.bounded.wire import ANSWERED, READY, to_wire
from mailadmin.pki.bundle import judge_bundle, read_parts
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.csr import CsrProblem, CsrSubject, build_csr, read_foreign_csr
from mailadmin.pki.keys import KeyKind, generate_key, public_key_id
from mailadmin.pki.offered import read_offered
from mailadmin.pki.problems import Problem
from mailadmin.pki.roots import Roots
from tests.throwaway_pki import ThrowawayCa

NOW = datetime.now(UTC)
CA = ThrowawayCa("Bounded Test")
ISSUED = CA.issue(["mail.example.org"])
ROOTS = Roots.gather({"mozilla": read_parts([CA.root_pem]).certificates})
Pretend = Callable[[str], None]


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    """Every child is waited for: none runs on, none is a zombie."""
    before = _children()
    yield
    assert _children() <= before


def _children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretend:
    """Return a function that puts another program in place of the child's."""

    def put(program: str) -> None:
        (tmp_path / "pretender.py").write_text(f"import os, sys, time\n{program}\n")
        monkeypatch.setattr(reader_module, "_CHILD", "pretender")
        monkeypatch.setattr(reader_module, "_TREE", tmp_path)

    return put


NOTHING_OFFERED = to_wire((), tuple[CertificateFacts, ...])
SAY_READY = f"os.write(1, {READY + to_wire(True, bool)!r})\n"


def test_the_answers_are_those_of_the_pure_functions() -> None:
    inputs = [ISSUED.fullchain_pem, ISSUED.key_pem, CA.root_pem, b"garbage"]
    with BoundedReader() as reader:
        parts = reader.read_parts(inputs)
        verdict = reader.judge_bundle(parts, now=NOW, roots=ROOTS)
    direct = read_parts(inputs)
    assert parts.certificates == direct.certificates
    assert parts.problems == direct.problems
    assert parts.files == direct.files
    assert [public_key_id(key) for key in parts.private_keys] == [
        direct.certificates[0].public_key_id
    ]
    judged = judge_bundle(direct, now=NOW, roots=ROOTS)
    assert (verdict.problems, verdict.chain, verdict.anchor, verdict.trusted_by) == (
        judged.problems,
        judged.chain,
        judged.anchor,
        judged.trusted_by,
    )
    assert verdict.private_key is not None


def test_requests_and_offers_are_read_alike() -> None:
    csr = build_csr(generate_key(KeyKind.RSA_2048), CsrSubject("a.example.org"), ["a.example.org"])
    assert bounded.read_foreign_csr(csr) == read_foreign_csr(csr)
    with pytest.raises(CsrProblem) as caught:
        bounded.read_foreign_csr(ISSUED.cert_pem)
    assert caught.value.problem.code == "csr.is_certificate"
    assert bounded.read_offered(CA.root_pem) == read_offered(CA.root_pem)
    assert bounded.read_offered(b"") == []


def test_what_takes_too_long_is_killed_and_said(pretend: Pretend) -> None:
    pretend(SAY_READY + "while True: pass")
    limits = Limits(seconds=0.3, patience_seconds=60)
    begin = monotonic()
    with BoundedReader(limits) as reader:
        parts = reader.read_parts([ISSUED.cert_pem])
        verdict = reader.judge_bundle(parts, now=NOW, roots=ROOTS)
    assert parts.problems == (Problem("reading.too_slow", params={"seconds": "0.3"}),)
    assert verdict.problems == parts.problems
    assert monotonic() - begin < 60


def answer_after(work: str) -> str:
    """Return a program that answers one question when it has done something."""
    return f"os.read(0, 65536)\n{work}\nos.write(1, {ANSWERED + NOTHING_OFFERED!r})\n"


def test_what_waits_for_a_processor_has_not_worked(pretend: Pretend) -> None:
    pretend(SAY_READY + answer_after("time.sleep(0.3)"))
    with BoundedReader(Limits(seconds=0.1, patience_seconds=100)) as reader:
        assert reader.read_offered(b"") == []


def test_one_that_neither_works_nor_answers_is_given_up(pretend: Pretend) -> None:
    pretend(SAY_READY + "time.sleep(100)")
    with BoundedReader(Limits(seconds=90, patience_seconds=0.3)) as reader:
        (problem,) = reader.read_parts([b"x"]).problems
    assert problem == Problem("reading.too_slow", params={"seconds": "90"})


def test_patience_is_one_for_all_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(allowance, "monotonic", lambda: clock[0])
    left = Allowance(Limits(seconds=1000, patience_seconds=10))
    left.begin(os.getpid())
    clock[0] += 6
    left.end()
    clock[0] += 60  # between two questions
    assert left.left() == 4
    left.begin(os.getpid())
    clock[0] += 3
    assert left.left() == 1
    clock[0] += 2
    assert left.left() == 0


def test_the_allowance_is_one_for_all_questions(pretend: Pretend) -> None:
    """Each answer takes two thirds of it, so the second is one too many."""
    work = "end = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    pretend(SAY_READY + answer_after(work) * 2)
    with BoundedReader(Limits(seconds=0.9, patience_seconds=100)) as reader:
        assert reader.read_offered(b"") == []
        with pytest.raises(ReadingProblem) as caught:
            reader.read_offered(b"")
    assert caught.value.problem.code == "reading.too_slow"


def test_the_kernel_stops_a_child_whose_parent_does_not(pretend: Pretend) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\n"
    pretend(limit + SAY_READY + "while True: pass")
    with BoundedReader(Limits(seconds=60, patience_seconds=60)) as reader:
        (problem,) = reader.read_parts([b"x"]).problems
    assert problem.code == "reading.too_slow"


@pytest.mark.parametrize(
    "program",
    [
        "sys.exit(0)",
        "os.abort()",
        "os.kill(os.getpid(), 9)",
        "os.write(1, b'a' + (2**31).to_bytes(4)); os.close(0); time.sleep(60)",
        "os.write(1, b'a\\0\\0\\0\\2{}'); time.sleep(60)",
        "os.write(1, b'a\\0\\0\\0\\5[{}{}'); time.sleep(60)",
        "os.write(1, b'?\\0\\0\\0\\4true'); time.sleep(60)",
    ],
)
def test_a_child_that_dies_or_talks_nonsense_is_broken_off(program: str, pretend: Pretend) -> None:
    pretend(f"{SAY_READY}os.read(0, 1)\n{program}")
    with BoundedReader(Limits(seconds=60, patience_seconds=60)) as reader:
        assert reader.read_parts([b"x" * 500_000]).problems == (Problem("reading.broken_off"),)


def test_an_answer_without_end_is_broken_off(pretend: Pretend) -> None:
    flood = "os.write(1, b'a' + (2**31).to_bytes(4))\nwhile True: os.write(1, bytes(65536))"
    pretend(SAY_READY + flood)
    with BoundedReader(Limits(seconds=60, patience_seconds=60, answer_mib=1)) as reader:
        assert reader.read_parts([b"x"]).problems == (Problem("reading.broken_off"),)


def test_a_lack_of_memory_is_said() -> None:
    with BoundedReader(Limits(memory_mib=80, seconds=60, patience_seconds=60)) as reader:
        problems = reader.read_parts([b"x" * 40_000_000]).problems
    assert problems == (Problem("reading.too_much_memory", params={"limit": 80}),)


@pytest.mark.parametrize("program", ["sys.exit(1)", "time.sleep(60)"])
def test_a_child_that_is_never_ready_has_not_started(program: str, pretend: Pretend) -> None:
    pretend(program)
    with BoundedReader(Limits(start_seconds=0.3)) as reader:
        assert reader.read_parts([b"x"]).problems == (Problem("reading.not_started"),)


def test_no_process_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ReadingProblem) as caught:
        bounded.read_offered(b"")
    assert caught.value.problem == Problem("reading.not_started")
    with pytest.raises(CsrProblem) as refused:
        bounded.read_foreign_csr(b"")
    assert refused.value.problem == Problem("reading.not_started")


def test_what_was_read_is_counted_when_it_cannot_be_judged(pretend: Pretend) -> None:
    parts = read_parts([ISSUED.fullchain_pem, ISSUED.key_pem, b"garbage"])
    pretend(SAY_READY + "sys.exit(0)")
    with BoundedReader() as reader:
        verdict = reader.judge_bundle(parts, now=NOW, roots=ROOTS)
    assert verdict.problems == (Problem("reading.broken_off"), *parts.problems)
    assert (verdict.found.leaves, verdict.found.keys, verdict.files) == (1, 1, parts.files)
    assert not verdict.is_accepted
    assert find_stop(verdict.problems) == Problem("reading.broken_off")
    assert find_stop(parts.problems) is None


def test_a_child_sees_neither_environment_nor_arguments_of_an_upload(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_KEY", "the panel's own")
    seen = tmp_path / "seen"
    pretend(f"open({str(seen)!r}, 'w').write(repr((dict(os.environ), sys.argv)))")
    with BoundedReader() as reader:
        reader.read_parts([b"the content"], "the password")
    told = seen.read_text()
    assert "the panel's own" not in told
    assert "the content" not in told
    assert "the password" not in told


def test_a_child_ends_with_its_parent() -> None:
    program = (
        "import os\n"
        "from mailadmin.certificates.bounded import BoundedReader\n"
        "reader = BoundedReader()\n"
        "reader.read_parts([b'x'])\n"
        "print(reader._child._running.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    deadline = monotonic() + 60
    while Path(f"/proc/{int(parent.stdout)}/mem").exists() and _is_alive(int(parent.stdout)):
        assert monotonic() < deadline
        os.sched_yield()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
