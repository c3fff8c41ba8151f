from __future__ import annotations

import re

from recrun.report.files.log import LogWriter

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


def _texts(path) -> list[str]:
    """The lines without their time."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(re.match(STAMP + " ", line) for line in lines)
    return [re.sub(STAMP + " ", "", line) for line in lines]


def test_a_log_tells_the_run_from_start_to_result(tmp_path, fake_run):
    writer = LogWriter(tmp_path / "log.txt")
    fake_run(writer)
    writer.close()
    lines = _texts(tmp_path / "log.txt")
    assert lines[:2] == ["INFO    start BPRMF", "INFO    model    bprmf, 4,533,696 parameters, on cpu"]
    assert "INFO    epoch 18/30  train  loss 0.1054  [12.0 s]" in lines
    valid = "recall@10 0.1600  recall@20 0.0800  ndcg@10 0.0533  ndcg@20 0.0400"
    assert f"INFO    epoch 18/30  valid  {valid}  [1.50 s]  best" in lines
    assert lines[-5:] == [
        "INFO    done at epoch 18, best by valid ndcg@20",
        f"INFO    valid  {valid}",
        f"INFO    test   {valid}",
        "INFO    users ranked: 29,000 valid, 29,858 test; 858 skipped (nothing to find)",
        "INFO    time: train 6 min 00 s, evaluate 48.0 s, total 6 min 55 s",
    ]


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    writer = LogWriter(tmp_path / "log.txt")
    writer.message("take care", "warning")
    assert _texts(tmp_path / "log.txt") == ["WARNING take care"]
    writer.close()


def test_control_codes_of_terminals_are_written_as_escapes(tmp_path):
    writer = LogWriter(tmp_path / "log.txt")
    writer.message("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x1b[2Kplain")
    writer.close()
    assert _texts(tmp_path / "log.txt") == [r"INFO    \x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x1b[2Kplain"]


def test_every_line_of_a_message_has_its_time(tmp_path):
    writer = LogWriter(tmp_path / "log.txt")
    writer.message("it broke\nbadly", "error")
    writer.message("")
    writer.close()
    assert _texts(tmp_path / "log.txt")[:2] == ["ERROR   it broke", "ERROR   badly"]


def test_a_resumed_run_goes_on_below(tmp_path, fake_info):
    for resumed_from in (None, 10):
        writer = LogWriter(tmp_path / "log.txt")
        writer.start(fake_info(resumed_from=resumed_from))
        writer.close()
        writer.close()
    lines = _texts(tmp_path / "log.txt")
    assert lines.count("INFO    start BPRMF") == 2
    assert lines.count("INFO    resumed  after epoch 10") == 1


def test_a_line_torn_by_a_killed_run_is_ended(tmp_path):
    (tmp_path / "log.txt").write_text("2026-01-01 00:00:00+00:00 INFO    epo")
    writer = LogWriter(tmp_path / "log.txt")
    writer.message("again")
    writer.close()
    assert _texts(tmp_path / "log.txt") == ["INFO    epo", "INFO    again"]


def test_a_name_that_is_not_unicode_does_not_end_the_run(tmp_path):
    writer = LogWriter(tmp_path / "log.txt")
    writer.message("runs/caf\udce9")
    writer.close()
    assert _texts(tmp_path / "log.txt") == ["INFO    runs/caf\\udce9"]
