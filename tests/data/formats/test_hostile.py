"""Whatever a file holds, a format returns a table or says what is wrong: nothing else ever comes out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.data.formats.table import Layout
from recrun.errors import DataError
from recrun.registry import FORMATS

PIECES = [
    b"user",
    b"item",
    b"rating",
    b"timestamp",
    b",",
    b"\t",
    b" ",
    b"\n",
    b"\r\n",
    b'"',
    b"0",
    b"12",
    b"007",
    b"-3",
]
PIECES += [
    b"2.5",
    b"nan",
    b"1e400",
    b"9" * 25,
    b"\xff",
    b"\x00",
    b"\x1f",
    b"\xef\xbb\xbf",
    "é".encode(),
    b"::",
    b"2001-02-03",
]
START = [
    b"",
    b"user,item,rating,timestamp\n",
    b"user_id:token\titem_id:token\trating:float\n",
    b"1 2 3\n",
    b"1\t2\t3\t4\n",
]
CONTENT = st.builds(
    lambda start, rest: start + b"".join(rest), st.sampled_from(START), st.lists(st.sampled_from(PIECES), max_size=25)
)


@pytest.mark.parametrize("name", FORMATS.names())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENT | st.binary(max_size=60))
def test_any_bytes_give_a_sound_table_or_a_data_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "x.file"
    path.write_bytes(content)
    fault, table = "", None
    try:
        table = FORMATS.get(name)(path, Layout())
    except DataError as error:
        fault = str(error)
    if table is None:
        assert fault.startswith(str(path))
        return
    assert len(table) > 0
    for ids in (table.users, table.items):
        assert len(ids.codes) == len(table)
        assert ids.codes.min() >= 0
        assert ids.codes.max() == len(ids.names) - 1
        assert sorted(set(ids.names.tolist())) == ids.names.tolist()
    assert all(len(values) == len(table) for values in table.columns.values())
    assert 1 <= table.line_of(0) <= table.line_of(len(table) - 1)
