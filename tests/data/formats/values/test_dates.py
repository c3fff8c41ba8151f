"""Dates in every known form, and formats that cannot be used."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.data.datasets.file import File
from recrun.data.formats.values.dates import DIRECTIVES, candidates, forms, is_date, parse_format, written_out
from recrun.errors import DataError

UTC = dt.timezone.utc
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2099, 12, 31, 23, 59, 59))
ZONES = st.integers(-14 * 4, 14 * 4).map(lambda quarters: dt.timezone(dt.timedelta(minutes=15 * quarters)))


def known_by(moment: dt.datetime, format: str) -> dt.datetime:
    """The moment as far as a format tells it."""
    kept = {"hour": "%H" in format or "%I" in format, "minute": "%M" in format, "second": "%S" in format}
    return moment.replace(microsecond=0, **{name: 0 for name, is_told in kept.items() if not is_told})


@settings(max_examples=300, deadline=None)
@given(form=st.sampled_from(forms()), moments=st.lists(st.tuples(MOMENTS, ZONES), min_size=1, max_size=5))
def test_a_date_written_in_a_form_is_read_back_to_the_exact_second(form, moments) -> None:  # type: ignore[no-untyped-def]
    told = [known_by(moment, form.format).replace(tzinfo=zone if form.has_zone else UTC) for moment, zone in moments]
    values = pl.Series([moment.strftime(form.format) for moment in told])
    seconds, nanoseconds, fits = form.read(values)
    assert fits.all()
    assert seconds.tolist() == [int(moment.timestamp()) for moment in told]
    assert not nanoseconds.any()
    assert all(form in candidates(value) for value in values)


@settings(max_examples=200, deadline=None)
@given(text=st.text("0123456789-/:. ,TZ+JanFeb", max_size=25), form=st.sampled_from(forms()))
def test_what_a_form_reads_pythons_own_parser_reads_alike(text: str, form) -> None:  # type: ignore[no-untyped-def]
    seconds, _, fits = form.read(pl.Series([text]))
    if fits[0] and "." not in text and "," not in text and "z" not in form.format.lower():
        expected = dt.datetime.strptime(text, form.format).replace(tzinfo=UTC)
        assert seconds[0] == int(expected.timestamp())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-01-05", "2024-01-05T00:00:00"),
        ("2024-1-5", "2024-01-05T00:00:00"),
        ("2024/01/05", "2024-01-05T00:00:00"),
        ("2024.01.05", "2024-01-05T00:00:00"),
        ("2024-01-05 10:22", "2024-01-05T10:22:00"),
        ("2024-01-05T10:22:33", "2024-01-05T10:22:33"),
        ("2024-01-05T10:22:33Z", "2024-01-05T10:22:33"),
        ("2024-01-05 10:22:33+01:00", "2024-01-05T09:22:33"),
        ("2024-01-05T10:22:33+0100", "2024-01-05T09:22:33"),
        ("2024-01-05 10:22:33-05", "2024-01-05T15:22:33"),
        ("2024-01-05 10:22:33 UTC", "2024-01-05T10:22:33"),
        ("2024-01-05T00:30:00+01:00", "2024-01-04T23:30:00"),
        ("Sun Sep 20 04:31:23 +0000 2020", "2020-09-20T04:31:23"),
        ("Tue Apr  3 18:00:06 +0900 2012", "2012-04-03T09:00:06"),
        ("Sun Sep 20 04:31:23 2020", "2020-09-20T04:31:23"),
        ("Sun, 20 Sep 2020 04:31:23 GMT", "2020-09-20T04:31:23"),
        ("01 5, 2024", "2024-01-05T00:00:00"),
        ("01 15, 2013", "2013-01-15T00:00:00"),
        ("05-Jan-2024", "2024-01-05T00:00:00"),
        ("05-JAN-2024", "2024-01-05T00:00:00"),
        ("Jan 5, 2024", "2024-01-05T00:00:00"),
        ("January 5, 2024", "2024-01-05T00:00:00"),
        ("Sept 5, 2024", "2024-09-05T00:00:00"),
        ("5 January 2024", "2024-01-05T00:00:00"),
        ("5 Jan 2024 10:22:33", "2024-01-05T10:22:33"),
        ("Jan 5, 2024, 10:22:33 PM", "2024-01-05T22:22:33"),
        ("Jan 5, 2024, 10:22:33\u202fPM UTC", "2024-01-05T22:22:33"),
        ("20/Sep/2020:04:31:23 +0200", "2020-09-20T02:31:23"),
        ("29 February 2024", "2024-02-29T00:00:00"),
    ],
)
def test_the_usual_published_forms_are_read(written: str, read: str) -> None:
    (form,) = candidates(written)
    seconds, _, fits = form.read(pl.Series([written]))
    assert fits.tolist() == [True]
    assert str(np.datetime64(int(seconds[0]), "s")) == read


@pytest.mark.parametrize(
    "written",
    [
        *("0000-00-00", "2024-13-45", "2024-00-10", "2024-02-30", "2023-02-29", "2024-04-31", "1900-02-29"),
        *("2024-01-05 24:00:00", "2024-01-05 10:60", "2024-01-05 10:22:60", "2024-01-05T10:22:33+25:00"),
        *("2024-01-05T10:22:33+01:75", "31 Feb 2024", "Mon Sep 20 04:31:23 +0000 2020", "Monday, 5 Jan 2024"),
        *("13/13/2024", "32/01/2024", "0/1/2024", "1/5/2024 0:22 PM", "1/5/2024 13:22 PM"),
    ],
)
def test_days_and_hours_that_are_not_there_do_not_fit_their_form(written: str) -> None:
    found = candidates(written)
    assert not any(form.read(pl.Series([written]))[2].any() for form in found)


@pytest.mark.parametrize(
    "written",
    [
        *("", "x", "2024", "202401", "1600000000", "1600000000.5", "24-01-05", "01/02/03", "2024-01", "2024-01-5x"),
        *("x2024-01-05", "2024-01-05\n", "2024-01-05 ", "2024--01-05", "+2024-01-05", "12024-01-05", "2024-001-05"),
        *("2024-01-05  T10:22", "2024-01-05T10", "2024-01-05T10:2", "2024-01-05T10:22:3", "2024-01-05T10:22:33X"),
        *("2024-01-05 10:22:33 EST", "10:22:33", "Jan 2024", "Foo 5, 2024", "5 Januar 2024", "Q1 2024", "2024-W01-1"),
        *("yesterday", "NaT", "None", "1/2", "1/2/2024/5", "\u0661/1/2024", "2024\u201301\u201305", "5. Januar 2024"),
    ],
)
def test_other_texts_have_no_form(written: str) -> None:
    assert [form.format for form in candidates(written)] == []
    assert is_date(written) == is_date(written.strip())


def test_only_the_order_of_day_and_month_can_be_read_in_two_ways() -> None:
    moment = dt.datetime(2024, 1, 5, 10, 22, 33, tzinfo=UTC)
    for form in forms():
        found = {other.format for other in candidates(moment.strftime(form.format))}
        swapped = form.format.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
        assert found <= {form.format, swapped}


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("%Q", "there is no directive '%Q'; known: %Y, %y, %m, %d"),
        ("%Y-%m-%", "there is no directive '%'"),
        ("%d/%m/%Y %d", "has %d twice"),
        ("%Y-%y-%m-%d", "needs one year, %Y or %y"),
        ("%d/%m", "needs one year"),
        ("", "needs one year"),
        ("dd/mm/yyyy", "needs one year"),
        ("%H:%M:%S", "needs one year"),
        ("%s", "there is no directive '%s'"),
        ("%Y-%d", "has a day without a month"),
        ("%Y-%m-%d %I:%M", "needs the hours either as %H, or as %I with %p"),
        ("%Y-%m-%d %H:%M %p", "needs the hours either as %H, or as %I with %p"),
        ("%Y-%m-%d %H %I %p", "needs the hours either as %H, or as %I with %p"),
        ("%Y-%m-%d :%M", "has minutes without hours"),
        ("%Y-%m-%d %H:%S", "or seconds without minutes"),
        ("%Y-%m-%d %f", "has a fraction without seconds"),
        ("%Y-%m-%d %b", "tells the day of the year in two ways"),
        ("%Y-%j-%d", "tells the day of the year in two ways"),
        ("%Y%m%d%U", "there is no directive '%U'"),
        ("%c", "there is no directive '%c'"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused_before_data_is_read(tmp_path: Path, format: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        File(tmp_path, path="missing.csv", time_format=format)
    assert str(caught.value).startswith(f"time_format {format!r}")
    assert message in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.text("%YmdbBaAjyHIMSfpzFTRDQs- /:.,1(", max_size=14))
def test_any_format_is_refused_or_reads_what_it_writes(format: str) -> None:
    moment = dt.datetime(2024, 11, 25, 10, 22, 33, tzinfo=UTC)
    try:
        form = parse_format(format)
    except DataError:
        return
    written = moment.strftime(form.format)
    assert form.read(pl.Series([written]))[2].tolist() == [True], (written, form.pattern)


@pytest.mark.parametrize(
    ("format", "written", "read"),
    [
        ("%Y%m%d", "20240105", "2024-01-05T00:00:00"),
        ("%y%m%d", "690105", "1969-01-05T00:00:00"),
        ("%d.%m.%y", "5.1.68", "2068-01-05T00:00:00"),
        ("%Y-%j", "2024-366", "2024-12-31T00:00:00"),
        ("%Y", "2024", "2024-01-01T00:00:00"),
        ("%B %Y", "may 2024", "2024-05-01T00:00:00"),
        ("%F %T", "2024-01-05 10:22:33", "2024-01-05T10:22:33"),
        ("%d/%m/%Y %I:%M:%S %p", "01/09/2024 12:00:01 AM", "2024-09-01T00:00:01"),
        ("%d/%m/%Y %I:%M %p", "01/09/2024 12:30PM", "2024-09-01T12:30:00"),
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2024-01-05T10:22:33.250Z", "2024-01-05T10:22:33"),
        ("%Y%m%d%H%M%S%f", "20240105102233250", "2024-01-05T10:22:33"),
        ("week of %A, %d %B %Y (100%%)", "week of Friday, 5 January 2024 (100%)", "2024-01-05T00:00:00"),
    ],
)
def test_other_forms_are_read_with_a_format(format: str, written: str, read: str) -> None:
    seconds, _, fits = parse_format(format).read(pl.Series([written]))
    assert fits.tolist() == [True]
    assert str(np.datetime64(int(seconds[0]), "s")) == read


@pytest.mark.parametrize(
    ("format", "written"),
    [("%Y%m%d", "2024115"), ("%Y-%j", "2023-366"), ("%Y-%j", "2024-0"), ("%Y-%m1%d", "2024-1115")],
)
def test_digits_are_never_cut_in_two_ways(format: str, written: str) -> None:
    assert not parse_format(format).read(pl.Series([written]))[2].any()


def test_every_directive_is_tried() -> None:
    tried = {name for form in forms() for name in DIRECTIVES if f"%{name}" in form.format}
    assert set(DIRECTIVES) - tried == {"y", "j", "f"}


def test_a_day_is_written_out_in_english() -> None:
    assert written_out(1725148800) == "1 September 2024"
    assert written_out(-1) == "31 December 1969"
