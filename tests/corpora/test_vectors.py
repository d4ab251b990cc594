"""Every file of the package ``cryptography_vectors`` gets the verdict that the table has for it.

A file that is new in the package, or gone from it, fails here too. The table is ``vectors.csv``;
how its lines were found, and where we are stricter or more lenient than others, is in the README.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpora.conftest import VECTORS
from tests.corpora.inspecting import differences, inspect
from tests.corpora.tables import Row, read_open_findings, read_table

# The library warns of what it will refuse one day; what we say today is in the table.
pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = read_table("vectors.csv")
OPEN = read_open_findings("vectors.csv")
# Folders without certificates, keys or containers: numbers for ciphers, hashes and the like.
NUMBERS_ONLY = frozenset(
    {"CMAC", "HMAC", "HPKE", "KDF", "chunked-encryption", "ciphers", "fernet", "hashes"}
    | {"keywrap", "poly1305", "twofactor"}
)
IS_NO_FILE_OF_IT = frozenset({".py", ".pyc", ".typed"})


def files_below(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in IS_NO_FILE_OF_IT
    )


def is_numbers_only(path: Path) -> bool:
    return path.relative_to(VECTORS).parts[0] in NUMBERS_ONLY


def by_folder() -> dict[str, list[Row]]:
    folders = defaultdict(list)
    for row in TABLE.values():
        folders[str(Path(row.path).parent)].append(row)
    return folders


FOLDERS = by_folder()


def test_the_table_knows_every_file_and_no_other() -> None:
    found = {
        str(path.relative_to(VECTORS)) for path in files_below(VECTORS) if not is_numbers_only(path)
    }
    assert found - set(TABLE) == set(), "look at these files and write their verdicts down"
    assert set(TABLE) - found == set(), "these files are gone from the package"
    assert set(TABLE) >= OPEN


@pytest.mark.django_db
@pytest.mark.usefixtures("_on_the_day")
@pytest.mark.parametrize("folder", FOLDERS)
def test_verdicts(folder: str, password_file: Callable[[str], Path | None]) -> None:
    wrong, right_at_last = {}, []
    for row in FOLDERS[folder]:
        answer = inspect(VECTORS / row.path, password_file=password_file(row.password))
        found = list(differences(row, answer))
        if found and row.path not in OPEN:
            wrong[row.path] = (found, row.why)
        elif not found and row.path in OPEN:
            right_at_last.append(row.path)
    assert wrong == {}
    assert right_at_last == [], "take these lines out of open_findings.csv"


@pytest.mark.django_db
@pytest.mark.usefixtures("_on_the_day")
def test_numbers_are_told_to_be_no_certificates() -> None:
    wrong = {}
    for path in filter(is_numbers_only, files_below(VECTORS)):
        answer = inspect(path)
        codes = answer.codes("error")
        if answer.outcome != "unreadable" or not codes < {"bundle.garbage", "bundle.too_large"}:
            wrong[str(path)] = sorted(codes)
    assert wrong == {}
