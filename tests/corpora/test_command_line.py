"""The real command, as an administrator starts it: exit code, both forms, and nothing else said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpora.conftest import VECTORS
from tests.corpora.inspecting import OUTCOMES, is_sentence
from tests.corpora.tables import read_open_findings, read_table

TABLE, OPEN = read_table("vectors.csv"), read_open_findings("vectors.csv")
REPOSITORY = Path(__file__).parents[2]
# One of each sort, whose errors do not change with the day, for what ends has ended; the clock is
# the machine's here.
SORTS = (
    "asymmetric/DER_Serialization/enc-rsa-pkcs8.der",
    "asymmetric/DH/dhkey.pem",
    "asymmetric/DSA/FIPS_186-2/SigGen.rsp",
    "asymmetric/EC/secp256r1-explicit-seed.pem",
    "asymmetric/OpenSSH/rsa-nopsw.key",
    "asymmetric/PKCS8/enc-unknown-kdf.pem",
    "asymmetric/PKCS8/rsa-pbe-3des-long-salt.pem",
    "asymmetric/Traditional_OpenSSL_Serialization/key1-short-iv.pem",
    "asymmetric/Traditional_OpenSSL_Serialization/testrsa-encrypted.pem",
    "pkcs12/cert-rc2-key-3des.p12",
    "pkcs12/java-truststore.p12",
    "pkcs12/name-unicode-pwd.p12",
    "pkcs12/no-password.p12",
    "pkcs7/amazon-roots.der",
    "pkcs7/amazon-roots.p7b",
    "pkcs7/isrg.pem",
    "x509/accvraiz1.pem",
    "x509/custom/cp_user_notice_no_explicit_text.pem",
    "x509/bigoid.pem",
    "x509/cryptography.io.pem",
    "x509/cryptography.io.with_garbage.pem",
    "x509/custom/admissions_extension_authority_not_provided.pem",
    "x509/custom/crl_almost_10k.pem",
    "x509/custom/negative_serial.pem",
    "x509/custom/san_ipaddr.pem",
    "x509/e-trust.ru.der",
    "x509/ocsp/resp-sha256.der",
    "x509/requests/ec_sha256.der",
    "x509/san_x400address.der",
    "x509/wildcard_san.pem",
)


def run(path: Path, password: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(path), *options]
    if password:
        (folder / "password").write_text(password)
        arguments += ["--password-file", str(folder / "password")]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAILADMIN_", "DATABASE_URL"))
    }
    return subprocess.run(
        [sys.executable, "manage.py", "certificate_inspect", *arguments],
        cwd=REPOSITORY,
        env={**environment, "DJANGO_SETTINGS_MODULE": "mailadmin.settings"}
        | {"MAILADMIN_VAR": str(folder / "var")},
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.mark.parametrize("path", SORTS)
def test_as_json(path: str, tmp_path: Path) -> None:
    row = TABLE[path]
    ran = run(VECTORS / path, row.password, tmp_path, "--json")

    problems = json.loads(ran.stdout)["problems"]
    errors = {found["code"] for found in problems if found["severity"] == "error"}
    is_right = (OUTCOMES[ran.returncode], errors) == (row.outcome, row.errors)
    assert is_right or path in OPEN, (ran.returncode, errors, row.why)
    assert ran.stderr == ""


@pytest.mark.parametrize("path", SORTS[::6])
def test_as_sentences(path: str, tmp_path: Path) -> None:
    row = TABLE[path]
    ran = run(VECTORS / path, row.password, tmp_path)

    assert OUTCOMES[ran.returncode] == row.outcome or path in OPEN
    refusals = [line for line in ran.stdout.splitlines() if line.startswith("refused: ")]
    assert refusals
    assert all(is_sentence(line.removeprefix("refused: "), "no code") for line in refusals)
    assert ran.stderr == ""
