"""The test data of ``badkeys``: keys that anybody can break, and odd certificates and requests."""

from __future__ import annotations

import pytest

from tests.corpora.inspecting import differences, inspect
from tests.corpora.tables import HERE, read_open_findings, read_table

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = HERE / "badkeys"
TABLE, OPEN = read_table("badkeys.csv"), read_open_findings("badkeys.csv")


def test_the_table_knows_every_file() -> None:
    assert set(TABLE) == {path.name for path in FOLDER.iterdir()} - {"LICENSE"}
    assert set(TABLE) >= OPEN


@pytest.mark.django_db
@pytest.mark.usefixtures("_on_the_day")
@pytest.mark.parametrize("name", TABLE)
def test_verdict(name: str) -> None:
    found = list(differences(TABLE[name], inspect(FOLDER / name)))
    assert bool(found) is (name in OPEN), (found, TABLE[name].why)
