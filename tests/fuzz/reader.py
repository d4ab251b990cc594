"""``python -m tests.fuzz.reader FOLDER --uploads N``: let libFuzzer look for harmful uploads.

Whatever an upload holds, reading and judging it and saying what is wrong must raise nothing, take
less than two seconds of the processor and little memory. libFuzzer steers by the branches taken in
``pki``; the seeds are files of the corpora, and a PEM block is changed inside as well as outside.

FOLDER is where the seeds are laid and where an input that does harm is left. The exit code is 0
when none was found. It ends after ``--uploads`` (the seeds among them) or ``--seconds`` of wall
time. The same ``--seed`` makes the same uploads; 0 is always another.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import os
import re
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import atheris
import cryptography_vectors
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

with atheris.instrument_imports(include=["mailadmin.pki"]):
    from mailadmin.certificates.reporting import verdict_as_dict, verdict_lines
    from mailadmin.pki.bundle import judge_bundle
    from mailadmin.pki.parts import read_parts

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
# Between the files of an upload that has several.
SEPARATOR = b"\n#### next file ####\n"
PASSWORD = "password"
MOST_SECONDS = 2
MOST_MEGABYTES = 1024
LARGEST_SEED = 8 * 1024
SEED_FOLDERS = (
    ("x509", "*.pem"),
    ("x509", "*.der"),
    ("x509/custom", "*.pem"),
    ("x509/PKITS_data/pkcs12", "*Test1*.p12"),
    ("pkcs7", "*"),
    ("pkcs12", "*.p12"),
    ("asymmetric/PKCS8", "*.pem"),
    ("asymmetric/Traditional_OpenSSL_Serialization", "*.pem"),
    ("asymmetric/DER_Serialization", "*.der"),
)
BLOCK = re.compile(rb"(-----BEGIN [A-Z0-9 ]+-----\n)([A-Za-z0-9+/=\n]+)(\n-----END )")


def judge_one(upload: bytes) -> None:
    """Do with an upload what the command does. Raises if it took too long."""
    # Of the processor: beside other programs the clock on the wall tells nothing about an upload.
    began = time.process_time()
    verdict = judge_bundle(read_parts(upload.split(SEPARATOR), PASSWORD), now=NOW)
    verdict_as_dict(verdict)
    for line in verdict_lines(verdict, NOW):
        line.encode()
    seconds = time.process_time() - began
    if seconds > MOST_SECONDS:
        raise AssertionError(f"took {seconds:.1f} s")


def mutate(upload: bytes, largest: int, seed: int) -> bytes:
    """Change an upload: every other time the content of a PEM block, so that it stays base64."""
    block = BLOCK.search(upload)
    if block is None or seed % 2:
        return bytes(atheris.Mutate(upload, largest))
    try:
        content = base64.b64decode(block[2])
    except binascii.Error:
        return bytes(atheris.Mutate(upload, largest))
    changed = base64.encodebytes(atheris.Mutate(content, largest)).strip()
    return (upload[: block.start(2)] + changed + upload[block.end(2) :])[:largest]


def lay_seeds(folder: Path) -> None:
    """Copy small files of the corpus into a folder, and some of them together as one upload."""
    vectors = Path(cryptography_vectors.__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [
        content
        for below, pattern in SEED_FOLDERS
        for path in sorted((vectors / below).glob(pattern))
        if path.is_file() and len(content := path.read_bytes()) <= LARGEST_SEED
    ]
    together = [SEPARATOR.join(seeds[at : at + 3]) for at in range(0, len(seeds), 10)]
    for number, seed in enumerate([*seeds, *together]):
        (folder / f"seed-{number:04}").write_bytes(seed)


def main() -> None:
    """Fuzz until enough was tried."""
    asked = _parse_arguments()
    warnings.simplefilter("ignore")
    lay_seeds(asked.folder / "seeds")
    options = [
        sys.argv[0],
        f"-runs={asked.uploads}",
        f"-max_total_time={asked.seconds}",
        f"-seed={asked.seed}",
        f"-timeout={MOST_SECONDS * 15}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={asked.folder}/",
        "-max_len=70000",
        "-print_final_stats=1",
        "-verbosity=0",
        str(asked.folder / "seeds"),
    ]
    atheris.Setup(options, judge_one, custom_mutator=mutate)
    atheris.Fuzz()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.reader")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uploads", type=int, default=-1)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
