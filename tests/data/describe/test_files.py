"""Describing files that are fine, odd, and bad; and that training does with each what the description says."""

from __future__ import annotations

import gzip
import json
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.config.resolve import resolve
from recrun.data.datasets.file import File
from recrun.data.describe.files import Description, describe_dataset, describe_path
from recrun.data.describe.problems import ACTIONS, KINDS, DataFault
from recrun.data.formats.values.numbers import MISSING_WORDS
from recrun.errors import DataError

HEAD = "user,item,rating,timestamp\n"
GOOD = [f"{u},{i},{1 + (u + i) % 5},{978300000 + 1000 * u + i}\n" for u in range(1, 9) for i in range(10, 22)]
INTEGERS = [f"{u} " + " ".join(str(i) for i in range(u, u + 12)) + "\n" for u in range(10)]


def table(*extra: str, head: str = HEAD, good: list[str] = GOOD) -> bytes:
    """A file whose first lines are fine, with others behind them (from line 98 on)."""
    return (head + "".join(good) + "".join(extra)).encode()


def integers(*extra: str) -> bytes:
    """Ten good lines of integers, and others from line 11 on."""
    return "".join([*INTEGERS, *extra]).encode()


def parquet(**columns: Any) -> bytes:
    stream = __import__("io").BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(stream)
    return stream.getvalue()


def records(*extra: bytes, **columns: Any) -> bytes:
    """JSON lines: 96 good ones, unless columns are given, and others behind them (from line 97 on)."""
    columns = columns or {
        name: [json.loads(line.split(",")[place]) for line in GOOD]
        for place, name in enumerate(("user", "item", "rating"))
    }
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows).encode() + b"".join(extra)


GOOD_NUMBERS = {"user": [1, 2, 3] * 4, "item": list(range(12))}

BAD: dict[str, tuple[str, bytes, str, str, list[int]]] = {
    # what: (file name, content, kind of fault, what recrun does, lines)
    "empty": ("x.csv", b"", "empty", "refuse", []),
    "blank": ("x.csv", b"\n \n\t\n", "empty", "refuse", []),
    "names only": ("x.csv", HEAD.encode(), "empty", "refuse", []),
    "a quote not closed": ("x.csv", table('1,"50,3,978300000\n', "1,51,3,978300000\n"), "quotes", "refuse", [98]),
    "what makes polars panic": (
        "x.txt",
        b"17726170336651182086::74309406753317121::0\n55702210144129581324\n ::-3::978300000\n0\n40\nnan\n"
        b'36966392369924475649::55412426154608782279::"',
        "separator",
        "refuse",
        [],
    ),
    "utf-16 integers": ("x.txt", integers().decode().encode("utf-16"), "encoding", "refuse", []),
    "text that begins like zlib": ("x.dat", b"x\x019\n" + b"0\x01\n" * 9, "missing-value", "refuse", [2, 3, 4, 5, 6]),
    "empty gzip": ("x.csv.gz", gzip.compress(b""), "empty", "refuse", []),
    "damaged gzip": ("x.csv.gz", gzip.compress(table())[:-30], "not-data", "refuse", []),
    "gzip by another name": ("x.csv", gzip.compress(table()), "not-data", "refuse", []),
    "plain as gzip": ("x.csv.gz", table(), "not-data", "refuse", []),
    "zip": ("x.csv", b"PK\x03\x04" + bytes(100), "not-data", "refuse", []),
    "spreadsheet": ("x.xlsx", b"PK\x03\x04" + bytes(100), "not-data", "refuse", []),
    "pickle": ("x.csv", b"\x80\x04\x95" + bytes(100), "not-data", "refuse", []),
    "numpy": ("x.csv", b"\x93NUMPY\x01\x00" + bytes(100), "not-data", "refuse", []),
    "web page": ("x.csv", b"<!DOCTYPE html><html>404</html>", "not-data", "refuse", []),
    "json array": ("x.json", b'[{"user": 1, "item": 2}]\n', "not-data", "refuse", []),
    "json over several lines": ("x.json", b'{\n  "user": 1,\n  "item": 2\n}\n', "not-data", "refuse", []),
    "csv called json": ("x.json", table(), "record", "refuse", []),
    "json without items": ("x.jsonl", records(user=range(9), thing=range(9)), "column", "refuse", []),
    "json cut off": ("x.jsonl", records()[:-9], "record", "refuse", [96]),
    "json with a comma behind": ("x.jsonl", records(b'{"user": 1, "item": 2},\n'), "record", "refuse", [97]),
    "json, two on a line": (
        "x.jsonl",
        records(b'{"user": 1}{"item": 2}\n', b"[1, 2]\n", b"7\n"),
        "record",
        "refuse",
        [97, 98, 99],
    ),
    "json with a key twice": (
        "x.jsonl",
        records(b'{"user": 1, "user": 2, "item": 2, "rating": 1}\n'),
        "record",
        "refuse",
        [97],
    ),
    "json without a user": (
        "x.jsonl",
        records(b'{"item": 2, "rating": 1}\n', b'{"rating": 1}\n'),
        "missing-value",
        "refuse",
        [97, 98],
    ),
    "json with nothing": ("x.jsonl", records(b"{}\n", b'{"a": {"user": 1}}\n'), "missing-value", "refuse", [97, 98]),
    "json with null": (
        "x.jsonl",
        records(b'{"user": null, "item": 2, "rating": 1}\n'),
        "missing-value",
        "refuse",
        [97],
    ),
    "json without a rating": ("x.jsonl", records(b'{"user": 1, "item": 2}\n'), "missing-value", "refuse", [97]),
    "json, true as item": ("x.jsonl", records(b'{"user": 1, "item": true, "rating": 1}\n'), "record", "refuse", [97]),
    "json, a fraction as user": (
        "x.jsonl",
        records(b'{"user": 1.5, "item": 1, "rating": 1}\n'),
        "record",
        "refuse",
        [97],
    ),
    "json, a list as item": ("x.jsonl", records(b'{"user": 1, "item": [2], "rating": 1}\n'), "record", "refuse", [97]),
    "json, NaN as rating": (
        "x.jsonl",
        records(
            *(b'{"user": 1, "item": 1, "rating": %s}\n' % found for found in (b"NaN", b"Infinity", b'"x"', b"false"))
        ),
        "not-a-number",
        "refuse",
        [97, 98, 99, 100],
    ),
    "python with a call": (
        "x.txt",
        b"{'user': 'a', 'item': 'b'}\n{'user': print(1), 'item': 'b'}\n",
        "record",
        "refuse",
        [2],
    ),
    "python cut off": ("x.txt", b"{'user': 'a', 'item': 'b'}\n{'user': 'a', 'it\n", "record", "refuse", [2]),
    "netflix with a word": ("x.txt", b"1:\n7,3,2005-09-06\n8,x,2005-09-06\n2:\n9,5\n", "ragged", "refuse", [3, 5]),
    "netflix with a day that is none": ("x.txt", b"1:\n7,3,2005-09-06\n8,3,2005-02-30\n", "ragged", "refuse", [3]),
    "mind without labels": (
        "behaviors.tsv",
        b"1\tU1\t11/15/2019 8:55:22 AM\tN1\tN2-1 N3-0\n2\tU2\t11/15/2019 8:55:22 AM\tN1\tN2 N3\n",
        "ragged",
        "refuse",
        [2],
    ),
    "mind with a day that is none": (
        "behaviors.tsv",
        b"1\tU1\t11/15/2019 8:55:22 AM\tN1\tN2-1 N3-0\n2\tU2\t15/11/2019 8:55:22 AM\tN1\tN2-1\n",
        "ragged",
        "refuse",
        [2],
    ),
    "a quote for inches": ("x.csv", table('1,5" disk,3,978300000\n'), "quotes", "refuse", [98]),
    "two quotes for inches": (
        "x.csv",
        table('1,5" disk,3,978300000\n', '1,6" disk,3,978300000\n'),
        "quotes",
        "refuse",
        [98, 99],
    ),
    "text behind a quote": ("x.csv", table('1,"50"x,3,978300000\n'), "quotes", "refuse", [98]),
    "a quote never closed": ("x.csv", table('1,"50\n', *GOOD), "quotes", "refuse", [98]),
    "a quote not closed in a column that is not read": (
        "x.csv",
        table('a,1,50,"3\n', head="title,user,item,rating\n", good=[f"t,{line.rpartition(',')[0]}\n" for line in GOOD]),
        "quotes",
        "refuse",
        [98],
    ),
    "a carriage return within a line": (
        "x.csv",
        table("1,50,3,978300000\r1,51,3,978300000\n"),
        "old-line-ends",
        "refuse",
        [98],
    ),
    "the last line cut off": ("x.csv", table("1,50,3"), "ragged", "refuse", [98]),
    "separators at the ends": ("x.csv", table("1,50,3,978300000,\n"), "ragged", "refuse", [98]),
    "a form feed": ("x.csv", table("\f\n"), "ragged", "refuse", [98]),
    "a byte 0 in an id": ("x.csv", table("1\0,50,3,978300000\n"), "not-data", "refuse", []),
    "a carriage return too many": (
        "x.csv",
        table("a1,50,3,978300000\n").replace(b"\n", b"\r\r\n"),
        "old-line-ends",
        "refuse",
        [1],
    ),
    "integers with old line ends": ("x.txt", integers("3 4\r5 6\r7 8\n"), "old-line-ends", "refuse", [11]),
    "integers with old line ends only": ("x.txt", integers().replace(b"\n", b"\r"), "old-line-ends", "refuse", [1]),
    "git lfs": ("x.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not-data", "refuse", []),
    "bytes 0": ("x.csv", table("1,2,3\0,978300000\n"), "not-data", "refuse", []),
    "parquet cut short": ("x.parquet", parquet(**GOOD_NUMBERS)[:-20], "not-data", "refuse", []),
    "prose": ("x.csv", b"It was a dark and stormy night.\nThe rain fell in torrents\n", "separator", "refuse", []),
    "no item": ("x.csv", table(head="user,thing,rating,timestamp\n"), "column", "refuse", []),
    "no user": ("x.csv", table(head="a,item,rating,timestamp\n"), "column", "refuse", []),
    "two users": ("x.csv", table(head="user,user,item,timestamp\n"), "column", "refuse", []),
    "one column": ("x.csv", b"user\n1\n2\n3\n", "separator", "refuse", []),
    "ragged short": ("x.csv", table("1,50\n", "2,51,3,978300000\n", "3\n"), "ragged", "refuse", [98, 100]),
    "ragged long": ("x.csv", table("1,50,3,978300000,9\n"), "ragged", "refuse", [98]),
    "ragged in a column nobody asked for": (
        "x.csv",
        b"user,item,title\n" + b"".join(b"1,%d,a\n" % i for i in range(20)) + b"1,50,a,b\n1,51\n",
        "ragged",
        "refuse",
        [22, 23],
    ),
    "ragged within quotes": (
        "x.csv",
        b'user,item,title\n1,1,"a, b"\n1,2,"two\nlines"\n1,3\n1,4,c\n',
        "ragged",
        "refuse",
        [5],
    ),
    "no user in rows": ("x.csv", table(",50,3,978300000\n", " ,51,3,978300000\n"), "missing-value", "refuse", [98, 99]),
    "an id with zeros before it": ("x.csv", table("007,50,3,978300000\n"), "like-ids", "refuse", [98]),
    "an id with zeros behind it": ("x.csv", table("7.0,50,3,978300000\n"), "like-ids", "refuse", [98]),
    "the first row cut short, before a repeated one": (
        "x.csv",
        b"user,item,rating\n1,2\n1,3,4\n1,3,4\n",
        "ragged",
        "refuse",
        [2],
    ),
    "the first row cut short, before an id with blanks": (
        "x.csv",
        b"user,item\na\nb c,d\n e,f\n",
        "ragged",
        "refuse",
        [2],
    ),
    "an id that a spreadsheet rounded": ("x.csv", table("1.23E+17,50,3,978300000\n"), "rounded-id", "refuse", [98]),
    "a day and a month": ("x.csv", b"user,item,date\n1,2,01/09/2024\n", "date-order", "refuse", []),
    "a date that is none": (
        "x.csv",
        b"user,item,date\n1,2,2024-01-01\n1,3,2024-13-45\n1,4,2024-01-02\n",
        "not-a-date",
        "refuse",
        [3],
    ),
    "a date among numbers": ("x.csv", table("1,50,3,2001-01-01\n"), "not-a-number", "refuse", [98]),
    "a rating with a comma": ("x.csv", table('1,50,"3,5",978300000\n'), "not-a-number", "refuse", [98]),
    "no item in a row": ("x.csv", table("1,,3,978300000\n"), "missing-value", "refuse", [98]),
    "no rating in a row": ("x.csv", table("1,50,,978300000\n"), "missing-value", "refuse", [98]),
    "no time in a row": ("x.csv", table("1,50,3,\n"), "missing-value", "refuse", [98]),
    "rating as text": ("x.csv", table("1,50,good,978300000\n", "1,51,4,9783\n"), "not-a-number", "refuse", [98]),
    "rating not finite": (
        "x.csv",
        table("1,50,nan,978300000\n", "1,51,inf,978300000\n"),
        "not-a-number",
        "refuse",
        [98, 99],
    ),
    "time as text": ("x.csv", table("1,50,3,soon\n"), "not-a-number", "refuse", [98]),
    "date among numbers": ("x.csv", table("1,50,3,2001-01-01\n"), "not-a-number", "refuse", [98]),
    "user below zero": ("x.csv", table("-1,50,3,978300000\n"), "negative-id", "refuse", [98]),
    "item below zero": ("x.csv", table("1,-50,3,978300000\n"), "negative-id", "refuse", [98]),
    "id too long": ("x.csv", table(f"{'u' * 600},50,3,978300000\n"), "long-id", "refuse", [98]),
    "user nan": ("x.csv", table("nan,50,3,978300000\n", "NaN,51,3,978300000\n"), "missing-id", "refuse", [98, 99]),
    "item NULL": ("x.csv", table("1,NULL,3,978300000\n"), "missing-id", "refuse", [98]),
    "ids that differ by blanks": (
        "x.csv",
        b"user,item\n" + b"".join(b"a,%d\nb,%d\n" % (i, i) for i in range(9)) + b"b ,50\n",
        "like-ids",
        "refuse",
        [20],
    ),
    "milliseconds among seconds": ("x.csv", table("1,50,3,978300000000\n"), "time-units", "refuse", [98]),
    "seconds among microseconds": (
        "x.csv",
        table("1,50,3,978300000\n", good=[line.replace("\n", "000000\n") for line in GOOD]),
        "time-units",
        "refuse",
        [98],
    ),
    "time far away": ("x.csv", table("1,50,3,99999999999\n", "1,51,3,5000000000\n"), "time-absurd", "refuse", [98, 99]),
    "time below zero": ("x.csv", table("1,50,3,-1\n"), "time-negative", "refuse", [98]),
    "date 9999": (
        "x.csv",
        b"user,item,date\n" + b"".join(b"1,%d,2001-02-%02d\n" % (i, i) for i in range(1, 20)) + b"1,30,9999-12-31\n",
        "time-absurd",
        "refuse",
        [21],
    ),
    "latin-1 deep in utf-8": (
        "x.csv",
        table("é,50,3,978300000\n", good=["ü,1,2,978300000\n"] * 9) + b"\xe9,50,3,978300000\n",
        "encoding",
        "setting",
        [],
    ),
    "old line ends": ("x.csv", table().replace(b"\n", b"\r"), "old-line-ends", "refuse", [1]),
    "integers with words": ("x.txt", integers("3 4 five\n", "x 3\n"), "not-an-integer", "refuse", [11, 12]),
    "integers with commas": ("x.txt", integers("3 4,5\n"), "not-an-integer", "refuse", [11]),
    "integers with fractions": ("x.txt", integers("3 4.0\n"), "not-an-integer", "refuse", [11]),
    "integers below zero": ("x.txt", integers("3 -4\n"), "negative-id", "refuse", [11]),
    "integers too long": ("x.txt", integers("3 9999999999999999999\n"), "long-id", "refuse", [11]),
    "only dates": (
        "x.csv",
        b"".join(b"2020-01-%02d,2020-02-%02d\n" % (i % 28 + 1, i % 28 + 1) for i in range(30)),
        "column-role",
        "refuse",
        [],
    ),
    "udata with a word": (
        "u.data",
        b"".join(b"%d\t%d\t3\t881250949\n" % (i, i) for i in range(20)) + b"1\t2\tx\t881250949\n",
        "not-a-number",
        "refuse",
        [21],
    ),
    "inter ragged": (
        "x.inter",
        b"user_id:token\titem_id:token\n" + b"".join(b"%d\t%d\n" % (i, i) for i in range(20)) + b"1\n",
        "ragged",
        "refuse",
        [22],
    ),
    "parquet without item": ("x.parquet", parquet(user=[1, 2], other=[1, 2]), "column", "refuse", []),
    "parquet with gaps": (
        "x.parquet",
        parquet(user=[1, None, 3], item=[1, 2, None]),
        "missing-value",
        "refuse",
        [2, 3],
    ),
    "parquet below zero": ("x.parquet", parquet(user=[1, -2], item=[1, 2]), "negative-id", "refuse", [2]),
    "parquet of lists": ("x.parquet", parquet(user=[[1], [2]], item=[1, 2]), "column", "refuse", []),
    "parquet of structures": ("x.parquet", parquet(user=[{"a": 1}], item=[1]), "column", "refuse", []),
    "parquet of durations": (
        "x.parquet",
        parquet(user=[1], item=[1], timestamp=[timedelta(1)]),
        "column",
        "refuse",
        [],
    ),
    "parquet not finite": (
        "x.parquet",
        parquet(user=[1, 2], item=[1, 2], rating=[1.0, float("nan")]),
        "not-a-number",
        "refuse",
        [2],
    ),
}

ODD: dict[str, tuple[str, bytes, str, str, list[int]]] = {
    "byte order mark": ("x.csv", b"\xef\xbb\xbf" + table(), "byte-order-mark", "keep", []),
    "windows line ends": ("x.csv", table().replace(b"\n", b"\r\n"), "line-ends", "keep", []),
    "blank lines": ("x.csv", table("\n", "1,50,3,978300000\n", "\n"), "blank-lines", "drop", [98, 100]),
    "duplicates": ("x.csv", table("1,10,3,978300000\n", "2,11,3,978300000\n"), "duplicates", "drop", [98, 99]),
    "unsorted users": ("x.csv", table("1,50,3,978300000\n"), "unsorted", "keep", []),
    "latin-1": ("x.csv", table("Jos\u00e9,50,3,978300000\n").decode().encode("latin-1"), "encoding", "setting", []),
    "utf-16": ("x.csv", table().decode().encode("utf-16"), "encoding", "setting", []),
    "no ending": ("x.txt", table(), "format", "setting", []),
    "json by another name": ("x.csv", records(), "format", "setting", []),
    "json compressed": ("x.txt.gz", gzip.compress(records()), "format", "setting", []),
    "json in latin-1": (
        "x.jsonl",
        records('{"user": "Jos\u00e9", "item": 1, "rating": 1}\n'.encode("latin-1")),
        "encoding",
        "setting",
        [],
    ),
    "json in utf-16": ("x.jsonl", records().decode().encode("utf-16"), "encoding", "setting", []),
    "json with other keys": ("x.jsonl", records(customer=range(9), sku=range(9)), "column-name", "setting", []),
    "json with nested keys": (
        "x.jsonl",
        records(reviewer=[{"customer": i} for i in range(9)], sku=range(9)),
        "column-name",
        "setting",
        [],
    ),
    "json with blank lines": ("x.jsonl", records(b"\n", b" \r\n"), "blank-lines", "drop", [97, 98]),
    "python dicts": (
        "x.json",
        b"".join(
            b"{u'username': u'x%d', u'product_id': u'%d', u'date': u'2016-01-04'}\n" % (i % 4, i) for i in range(20)
        ),
        "format",
        "setting",
        [],
    ),
    "netflix": (
        "combined.txt",
        b"".join(b"%d:\n" % i + b"".join(b"%d,3,2005-09-%02d\n" % (u, u) for u in range(1, 9)) for i in range(1, 9)),
        "format",
        "setting",
        [],
    ),
    "mind": (
        "behaviors.tsv",
        b"".join(b"%d\tU%d\t11/%d/2019 8:55:22 AM\tN1\tN%d-1 N3-0\n" % (i, i % 4, i, i) for i in range(1, 29)),
        "format",
        "setting",
        [],
    ),
    "quotes escaped by backslashes": (
        "x.csv",
        b'"User-ID";"Item-ID";"Book-Rating"\r\n'
        + b"".join(b'"%d";"%d";"8"\r\n' % (i % 5, i) for i in range(40))
        + b'"7";"\\"0210000010";"5"\r\n',
        "quotes",
        "setting",
        [],
    ),
    "quotes in pairs": ("x.csv", table('1,the "best" film,3,978300000\n'), "mixed-ids", "keep", [98]),
    "separators at all ends": (
        "x.csv",
        b"".join(b"%d,%d,%d,\n" % (i % 5, i, i % 3) for i in range(40)),
        "ratings",
        "keep",
        [1, 4, 7, 10, 13],
    ),
    "parquet by another name": ("x.dat", parquet(**GOOD_NUMBERS), "format", "setting", []),
    "semicolons in a tsv": ("x.tsv", table().replace(b",", b";"), "format", "setting", []),
    "semicolons with commas": (
        "x.csv",
        b"user;item;a,b,c,d,e\n" + b"".join(b"1;%d;x\n" % i for i in range(20)),
        "separator",
        "setting",
        [],
    ),
    "a header row with a number": (
        "x.csv",
        b"user,item,rating,2020\n" + b"".join(b"1,%d,3,0\n" % i for i in range(20)),
        "header",
        "setting",
        [],
    ),
    "other names": (
        "x.csv",
        table(head="customer,sku,stars given,bought_at\n"),
        "column-name",
        "setting",
        [],
    ),
    "a time in the third column": (
        "x.csv",
        b"".join(b"%d,%d,%d\n" % (i % 5, i, 978300000 + i) for i in range(40)),
        "column-name",
        "setting",
        [],
    ),
    "text in the third column": (
        "x.csv",
        b"".join(b"%d,%d,film %d\n" % (i % 5, i, i) for i in range(40)),
        "column-name",
        "setting",
        [],
    ),
    "huge ids": ("x.csv", table("99999999999999999999999,50,3,978300000\n"), "huge-ids", "keep", [98]),
    "ids with zeros": ("x.csv", table("0070,50,3,978300000\n"), "number-ids", "keep", [98]),
    "ids as fractions": ("x.csv", table("1,50.0,3,978300000\n"), "number-ids", "keep", [98]),
    "some ids are words": ("x.csv", table("bob,50,3,978300000\n"), "mixed-ids", "keep", [98]),
    "ids with blanks": (
        "x.csv",
        b"user,item\n" + b"".join(b"a,%d\nb,%d\n" % (i, i) for i in range(9)) + b" c,50\n",
        "blank-ids",
        "keep",
        [20],
    ),
    "ratings of zero": ("x.csv", table("1,50,0,978300000\n", "1,51,-1,978300000\n"), "ratings", "keep", [98, 99]),
    "times in milliseconds": (
        "x.csv",
        table(good=[line.replace("\n", "000\n") for line in GOOD]),
        "time-unit",
        "keep",
        [],
    ),
    "times that count": (
        "x.csv",
        b"user,item,time\n" + b"".join(b"1,%d,%d\n" % (i, i) for i in range(20)),
        "time-order",
        "keep",
        [],
    ),
    "a time of zero": ("x.csv", table("1,50,3,0\n"), "time-early", "keep", [98]),
    "dates before 1970": (
        "x.csv",
        b"user,item,date\n" + b"".join(b"1,%d,1969-02-%02d\n" % (i, i) for i in range(1, 20)),
        "time-early",
        "keep",
        [2, 3, 4, 5, 6],
    ),
    "two interactions at the latest time": (
        "x.csv",
        table("1,60,3,979300000\n", "1,61,3,979300000\n"),
        "time-ties",
        "keep",
        [],
    ),
    "one line for each user": (
        "x.csv",
        b"user,item\n" + b"".join(b"%d,%d\n" % (i, i) for i in range(20)),
        "single",
        "keep",
        [],
    ),
    "users without items": ("x.txt", integers("50\n", "\n", "51\n"), "no-items", "drop", [11, 13]),
}


def write(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def faults_of(description: Description) -> dict[str, DataFault]:
    """The gravest fault of each kind."""
    faults = [fault for report in description.files for fault in report.faults]
    return {fault.kind: fault for fault in reversed(faults)}


def load(description: Description) -> File:
    """Load the data as the config says that the description shows."""
    options = {key: value for key, value in description.settings.items() if key not in ("dataset", "root")}
    return File(description.settings["root"], **options)


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_named_with_their_lines_and_refused_by_training(tmp_path: Path, what: str) -> None:
    name, content, kind, action, lines = BAD[what]
    path = write(tmp_path, name, content)
    description = describe_path(path, {})
    found = faults_of(description)
    assert kind in found, found
    assert (found[kind].action, [line for line, _ in found[kind].lines]) == (action, lines)
    if action == "refuse":
        assert not description.is_usable
        with pytest.raises(DataError) as caught:
            load(description)
        assert str(caught.value).startswith(str(path).removesuffix(".gz")) or "does not tell its format" in str(
            caught.value
        )
        if lines:
            assert str(caught.value).startswith(f"{path}:{lines[0]}: ")


@pytest.mark.parametrize("what", ODD)
def test_odd_files_are_named_and_read_with_the_settings_shown(tmp_path: Path, what: str) -> None:
    name, content, kind, action, lines = ODD[what]
    description = describe_path(write(tmp_path, name, content), {})
    found = faults_of(description)
    assert kind in found, found
    assert (found[kind].action, [line for line, _ in found[kind].lines]) == (action, lines)
    assert description.is_usable, found
    data = load(description)
    assert description.statistics["parts"] == {
        part: len(data.interactions(part)) for part in ("train", "valid", "test")
    }


def test_every_kind_of_fault_is_met_by_a_test() -> None:
    met = {kind for _, _, kind, _, _ in (*BAD.values(), *ODD.values())}
    elsewhere = {"overlap", "other-ids", "unlike-parts", "second-line", "refused", "filter"}
    assert set(KINDS) == met | elsewhere
    assert all(action in ACTIONS for action, _ in KINDS.values())


def test_a_good_file_has_figures_and_no_faults(tmp_path: Path) -> None:
    description = describe_path(write(tmp_path, "x.csv", table()), {})
    assert list(faults_of(description)) == []
    assert (description.is_usable, description.notes) == (True, [])
    figures = description.statistics
    assert [figures[name] for name in ("users", "items", "interactions")] == [8, 12, 96]
    assert figures["density"] == 1.0
    assert figures["per_user"] == dict.fromkeys(("min", "p25", "median", "p75", "p90", "p99", "max", "mean"), 12)
    assert figures["columns"]["timestamp"] == {
        "unit": "seconds",
        "first": "2000-12-31 22:16:50",
        "last": "2001-01-01 00:13:41",
    }
    assert figures["columns"]["rating"]["counts"].keys() == {"1", "2", "3", "4", "5"}


def test_all_faults_of_a_file_are_named_together_and_counted(tmp_path: Path) -> None:
    extra = [f"1,{i}\n" for i in range(30)] + ["1,50,bad,978300000\n", ",51,3,978300000\n", "1,52,3,-5\n"]
    description = describe_path(write(tmp_path, "x.csv", table(*extra)), {}, limit=3)
    found = faults_of(description)
    assert {kind: fault.count for kind, fault in found.items() if fault.action == "refuse"} == {
        "ragged": 30,
        "not-a-number": 1,
        "missing-value": 1,
        "time-negative": 1,
    }
    assert [line for line, _ in found["ragged"].lines] == [98, 99, 100]
    assert found["ragged"].lines[0][1] == "expected 4 columns, found 2: '1,0'"
    assert found["not-a-number"].lines == [
        (
            128,
            "expected a number as rating (column 'rating'), found 'bad'; rating_column= reads the file without ratings",
        )
    ]
    assert description.statistics["interactions"] == 96


def test_a_wrong_separator_names_the_right_one(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", table().replace(b",", b";"))
    fault = faults_of(describe_path(path, {"separator": ","}))["separator"]
    assert fault.message == "with separator ',' there is one column; the separator found is ';'"
    assert describe_path(path, {}).is_usable
    path = write(tmp_path, "y.txt", table())
    assert "separator found is ','" in faults_of(describe_path(path, {"format": "lightgcn"}))["separator"].message


def test_a_second_line_of_a_user_is_refused_where_a_line_is_a_history(tmp_path: Path) -> None:
    path = write(tmp_path, "x.txt", integers("3 99\n", "4 99\n"))
    assert describe_path(path, {}).is_usable
    fault = faults_of(describe_path(path, {"format": "sequences"}))["second-line"]
    assert fault.lines == [
        (11, "user 3 has a second line; the history of a user must stand in one line"),
        (12, "user 4 has a second line; the history of a user must stand in one line"),
    ]


def test_parts_that_overlap_are_refused_with_every_pair(tmp_path: Path) -> None:
    write(tmp_path, "train.txt", b"0 1 2 3\n1 1 2 3\n2 1 4\n")
    write(tmp_path, "test.txt", b"0 4 1\n1 4\n2 4 3\n")
    description = describe_path(tmp_path, {})
    fault = faults_of(description)["overlap"]
    assert fault.path == tmp_path / "test.txt"
    assert fault.lines == [
        (1, f"user 0 and item 1 are in {tmp_path}/train.txt:1 too"),
        (3, f"user 2 and item 4 are in {tmp_path}/train.txt:3 too"),
    ]
    assert not description.is_usable
    with pytest.raises(DataError, match=r"test\.txt:1: user 0 and item 1 are in .*train\.txt:1 too"):
        load(description)


def test_ids_that_train_lacks_are_counted_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "train.txt", b"0 1 2 3 5 6\n1 1 2 3 5 6\n")
    write(tmp_path, "test.txt", b"0 4\n7 8 9\n")
    description = describe_path(path, {"test_path": "test.txt"})
    assert description.notes == [
        "1 of 2 users in test have no interaction in train; they are kept",
        "3 of 3 items in test have no interaction in train; they are kept",
    ]
    assert description.is_usable
    assert load(description).n_items == 8


def test_parts_whose_ids_have_nothing_in_common_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", table())
    write(tmp_path, "test.csv", (HEAD + "".join(line.replace(",", ",item", 1) for line in GOOD)).encode())
    description = describe_path(tmp_path, {})
    assert faults_of(description)["other-ids"].action == "refuse"
    with pytest.raises(DataError, match=r"test\.csv: none of its 12 items occurs in .*train\.csv"):
        load(description)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "b.txt"], r"is a folder without one train and one test file; name a file of it: a\.csv, b\.txt"),
        (["train.csv"], "without one train and one test file"),
        (["train.csv", "train.txt", "test.csv"], "without one train and one test file"),
        ([], "name a file of it: nothing"),
    ],
)
def test_a_folder_must_hold_one_train_and_one_test_file(tmp_path: Path, names: list[str], message: str) -> None:
    folder = tmp_path / "train-test"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(table())
    with pytest.raises(DataError, match=message):
        describe_path(folder, {})


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file, and no data set of that name"):
        describe_path(tmp_path / "nowhere.csv", {})
    path = write(tmp_path, "train.csv", table())
    with pytest.raises(DataError, match=r"there is no file .*test\.csv"):
        describe_path(path, {"test_path": "test.csv"})
    with pytest.raises(DataError, match="valid_path goes with test_path"):
        describe_path(path, {"valid_path": "train.csv"})
    with pytest.raises(DataError, match="unknown format 'cvs'; did you mean 'csv'"):
        describe_path(path, {"format": "cvs"}).files[0]


def test_settings_are_taken_as_they_are_given(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", table(head="a,b,c,d\n"))
    given = {"user_column": "a", "item_column": "b", "time_column": "d", "split": "leave_one_out"}
    description = describe_path(path, given)
    assert description.statistics["parts"] == {"train": 80, "valid": 8, "test": 8}
    assert description.settings == {"dataset": "File", "root": str(tmp_path), "path": "x.csv", **given}
    fault = faults_of(describe_path(path, {**given, "user_column": "z"}))["column"]
    assert fault.message == "there is no column 'z' for user. Found: 'a', 'b', 'c', 'd'"


def test_time_order_asked_for_without_times_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "x.txt", integers())
    for split in ("leave_one_out", "time", "user_time"):
        fault = faults_of(describe_path(path, {"split": split}))["refused"]
        assert f"split={split} needs the time of each interaction" in fault.message


def test_the_command_shown_is_a_config_that_is_right(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    path = write(folder, "it's.txt", table().replace(b",", b"|").replace(b"user", b"who are you, user"))
    description = describe_path(path, {})
    words = shlex.split(description.command)
    assert words[:3] == ["recrun", "train", "bprmf"]
    resolved = resolve("bprmf", words[3:])
    assert {key: resolved.config[key] for key in description.settings} == description.settings
    assert load(description).n_users == 8


def test_a_registered_data_set_is_described_by_its_parts(shared_data: Path) -> None:
    description = describe_dataset("MovieLens100K", str(shared_data), {"split": "leave_one_out"})
    figures = description.statistics
    assert [figures[name] for name in ("users", "items", "interactions")] == [943, 1682, 100_000]
    assert figures["parts"] == {"train": 98_114, "valid": 943, "test": 943}
    assert description.hashes.keys() == {"u.data", "split"}
    assert description.command.endswith(
        f"dataset=MovieLens100K root={shlex.quote(str(shared_data))} split=leave_one_out"
    ) or ("split=leave_one_out" in description.command)


def test_real_files_are_read_as_they_are_meant(shared_data: Path) -> None:
    expected: dict[str, tuple[str, int]] = {
        "ml-100k/u.data.gz": ("udata", 100_000),
        "ml-100k/recbole/ml-100k.inter.gz": ("inter", 100_000),
        "ml-latest-small/ratings.csv.gz": ("csv", 100_836),
        "amazon2014/Beauty.txt.gz": ("lightgcn", 198_502),
        "lastfm-lightgcn/data1.txt.gz": ("triples", 42_135),
        "criteo-sample/movielens_sample.txt": ("csv", 200),
    }
    for name, (format, n_rows) in expected.items():
        description = describe_path(shared_data / name, {})
        sniffed = description.files[0].sniffed
        assert description.is_usable
        assert sniffed is not None
        assert (sniffed.format, description.statistics["interactions"]) == (format, n_rows), name


Lines = Callable[[], bytes]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_bytes_give_a_report_that_training_agrees_with(tmp_path: Path, data: st.DataObject) -> None:
    fields = st.one_of(
        st.integers(-3, 10**20).map(str),
        st.sampled_from(["", " ", "nan", '"', "user", "item", "978300000", "2001-01-01", "é", "\r", "1.5", "x"]),
    )
    separator = data.draw(st.sampled_from([",", "\t", " ", "::", ";", "|"]))
    rows = st.lists(fields, min_size=1, max_size=5).map(separator.join)
    structured = st.lists(rows, max_size=12).map(lambda lines: "\n".join(lines).encode("utf-8"))
    encoded = structured.flatmap(
        lambda text: st.sampled_from([text, b"\xef\xbb\xbf" + text, text + b"\xe9\n", text + b"\0"])
    )
    content = data.draw(st.one_of(encoded, st.binary(max_size=60)))
    name = data.draw(st.sampled_from(["x.csv", "x.txt", "x.tsv", "x.inter", "u.data", "x.parquet"]))
    path = write(tmp_path, name, content)
    description = describe_path(path, {})
    assert description.document()["usable"] == description.is_usable
    if description.is_usable:
        assert load(description).n_users > 0
    else:
        assert any(fault.action == "refuse" for fault in description.files[0].faults)
        with pytest.raises(DataError):
            load(description)


def test_words_for_missing_values_are_told_in_lower_case() -> None:
    assert all(word == word.lower() for word in MISSING_WORDS)
    assert np.array(sorted(MISSING_WORDS)).dtype.kind == "U"


def test_rows_that_take_several_lines_are_left_out_whole(tmp_path: Path) -> None:
    good = [f'"a\nb{i}",1,{i},3\n' for i in range(5)]
    bad = ['"c\nd\ne",1,50,bad\n', '"f\ng",1,51,inf\n', "h,,52,3\n"]
    path = write(tmp_path, "x.csv", ("title,user,item,rating\n" + "".join([*good, *bad, '"z\n",1,60,3\n'])).encode())
    description = describe_path(path, {"separator": ",", "header": True})
    found = faults_of(description)
    assert {kind: [line for line, _ in fault.lines] for kind, fault in found.items() if fault.action == "refuse"} == {
        "not-a-number": [12, 15],
        "missing-value": [17],
    }
    assert description.statistics["interactions"] == 6
