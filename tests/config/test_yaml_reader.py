from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.reading import Place, Reading
from recrun.config.yaml_reader import MAX_BYTES, read_mapping, read_value
from recrun.config.yaml_writer import dump_mapping, dump_value
from recrun.errors import ConfigError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a file to write."""
    return tmp_path_factory.mktemp("yaml") / "config.yaml"


def _read(file: Path, content: str | bytes) -> Reading:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mapping(file)


def _values(file: Path, content: str | bytes) -> dict[str, Any]:
    return {key: given.value for key, given in _read(file, content).checked().items()}


def _faults(file: Path, content: str | bytes) -> list[str]:
    return [str(fault).removeprefix(f"{file}:").strip() for fault in _read(file, content).faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1", 1),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-3'", "1e-3"),
        ('"a\\n\\U0001f600"', "a\n\U0001f600"),
        ("[1, [a, null], {b: 2.5}]", [1, ["a", None], {"b": 2.5}]),
        ("{a: 1, b: [true]}", {"a": 1, "b": [True]}),
        ("a  b", "a  b"),
        ("a # comment", "a"),
        ("1e", "1e"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(file: Path, text: str, value: Any) -> None:
    assert _values(file, f"key: {text}\n") == {"key": value}


def test_not_a_number_is_read_as_one(file: Path) -> None:
    assert math.isnan(_values(file, "key: .nan\n")["key"])


def test_every_key_value_and_element_knows_where_it_stands(file: Path) -> None:
    given = _read(file, "\n# head\nlr:   1e-3\nmonitors:\n- a\n- [b]\n").checked()
    name = str(file)
    assert given["lr"].key_place == Place(name, 3, 1)
    assert given["lr"].place == Place(name, 3, 7)
    assert given["lr"].text == "1e-3"
    assert given["monitors"].text is None
    assert given["monitors"].items == (Place(name, 5, 3), Place(name, 6, 3))


def test_byte_order_mark_and_line_ends_of_windows_are_read(file: Path) -> None:
    assert _values(file, "\ufefflr: 1\r\nseed: 2\r\n".encode()) == {"lr": 1, "seed": 2}


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"", ["the file is empty; expected a mapping of settings, such as 'model: bprmf'"]),
        (b"# nothing\n\n", ["the file is empty; expected a mapping of settings, such as 'model: bprmf'"]),
        (b"- a\n- b\n", ["1:1: expected 'key: value', found a list"]),
        (b"hello\n", ["1:1: expected 'key: value', found the text 'hello'"]),
        (
            b"a: 1\nlr:1e-3\nb: 2\n",
            ["2:1: expected 'key: value', found the text 'lr:1e-3'; put a space after the colon"],
        ),
        (
            b"a: 1\na: 2\nb: 1\na: 3\n",
            ["2:1: a: is set twice; first on line 1", "4:1: a: is set twice; first on line 1"],
        ),
        (b"a: {b: 1, b: 2}\n", ["1:11: a: the key 'b' is set twice"]),
        (b"? [a]\n: 1\n", ["1:3: a key must be text"]),
        (b"a: {[b]: 1}\n", ["1:5: a: a key must be text"]),
        (b"a:\t1\n\tb: 2\n", ["1:3: a: not valid YAML: a tab where only spaces are allowed"]),
        (
            b"a: &x 1\nb: *x\n",
            [
                f"{n}:4: {k}: anchors and aliases are not supported; write the value out"
                for n, k in ((1, "a"), (2, "b"))
            ],
        ),
        (b"a: !!int '3'\n", ["1:4: a: the tag 'tag:yaml.org,2002:int' is not supported; write plain values"]),
        (b"a: 1\n---\nb: 2\n", ["2:1: a second YAML document begins here; a config is a single document"]),
        (
            b"a: \xff1\nb: \x00\n",
            [
                "1:4: is not UTF-8 text: byte 0xff cannot be decoded; save the file as UTF-8",
                "2:4: the character U+0000 is not allowed in YAML; remove it",
            ],
        ),
        (
            "a: 1\nb: 2\n".encode("utf-16"),
            ["1:1: is not UTF-8 text: byte 0xff cannot be decoded; save the file as UTF-8"],
        ),
        (
            b"a: b: c\n",
            [
                "1:5: a: not valid YAML: mapping values are not allowed here; a value that holds ': ' must be in "
                "quotes, and a key must not be indented"
            ],
        ),
        (
            b"a: @x\n",
            [
                "1:4: a: not valid YAML: while scanning for the next token found character '@' that cannot start any "
                "token; a value that begins with this character must be in quotes"
            ],
        ),
        (b"a: " + b"9" * 5000 + b"\n", ["1:4: a: the number has too many digits"]),
        (b"a: " + b"[" * 100 + b"\n", ["1:20: a: nested too deeply: more than 16 levels"]),
    ],
)
def test_what_is_no_mapping_of_settings_is_refused_with_its_place(
    file: Path, content: bytes, faults: list[str]
) -> None:
    assert _faults(file, content) == faults


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="this Python converts integers of any length")
def test_an_integer_beyond_what_python_converts_is_a_fault(file: Path) -> None:
    assert not _read(file, "a: " + "9" * 5000).complete


def test_a_bracket_or_quote_that_is_not_closed_is_reported_where_it_opens_and_the_rest_is_read(file: Path) -> None:
    reading = _read(file, "a: [1, 2\nb: 3\nc: 'x\nd: 4\n")
    assert [(fault.key, fault.line, fault.column) for fault in reading.faults] == [("a", 1, 4), ("c", 3, 4)]
    assert all("is not closed" in fault.message for fault in reading.faults)
    assert {key: given.value for key, given in reading.given.items()} == {"b": 3, "d": 4}
    assert reading.given["d"].place == Place(str(file), 4, 4)
    assert not reading.complete


def test_what_could_be_read_is_read_on_beside_every_kind_of_fault(file: Path) -> None:
    reading = _read(file, "%YAML 1.2\n---\na: &x 1\nb:\n- 1\n- 2\nc: !t 3\nd: 4\n...\n")
    assert {key: given.value for key, given in reading.given.items()} == {"b": [1, 2], "d": 4}
    assert [(fault.key, fault.line) for fault in reading.faults] == [("a", 3), ("c", 7)]


def test_an_anchor_bomb_is_refused_at_once(file: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    faults = _faults(file, "\n".join(lines))
    assert len(faults) == 30
    assert all("anchors and aliases are not supported" in fault for fault in faults)


def test_a_file_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        (fault,) = read_mapping(path).faults
        assert fault.file == str(path)
        return fault.message

    assert message(tmp_path) == "is a folder; expected a YAML file"
    assert message(tmp_path / "nothing.yaml") == "cannot be read: No such file or directory"
    assert message(tmp_path / ("x" * 5000)).startswith("cannot be read: ")
    assert message(tmp_path / "a\0b").startswith("cannot be read: ")
    (tmp_path / "huge").write_bytes(b"a" * (MAX_BYTES + 1))
    assert message(tmp_path / "huge") == "is larger than 64 KiB, so it is not a config"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert message(tmp_path / "loop").startswith("cannot be read: ")


def test_a_file_without_permission_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # the tests may run as root, whom no file refuses
    (fault,) = read_mapping(tmp_path / "secret.yaml").faults
    assert fault.message == "cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("", None),
        ("[a, 1]", ["a", 1]),
        ("---", "---"),
        ("%x", "%x"),
        ("a#b", "a#b"),
        ("'a #b'", "a #b"),
        ("-1", -1),
        ("...", "..."),
    ],
)
def test_a_value_of_an_argument_means_what_it_means_in_a_file(text: str, value: Any) -> None:
    if text == "%x":
        given, faults = read_value(text, Place("argument 1", None, 4))
        assert given is None
        assert faults[0].column == 4
        return
    given, faults = read_value(text, Place("argument 1", None, 4))
    assert faults == []
    assert given is not None
    assert given.value == value


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("[1, 2", 4, "is not closed"),
        ("a #b", 4, "'#b' would be a comment; put the value in quotes"),
        ("a\n- b", 4, "expected one value"),
        ("[a, &x b]", 8, "anchors and aliases"),
        ("\x00a", 4, "U+0000 is not allowed"),
        ("\udcff", 4, "U+DCFF is not allowed"),
        ("\tx", 4, "a tab where only spaces are allowed"),
        ("9" * 5000, 4, "too many digits"),
        ("{a: 1, a: 2}", 11, "the key 'a' is set twice"),
    ],
)
def test_what_is_no_value_is_refused_with_its_column_in_the_argument(text: str, column: int, message: str) -> None:
    given, faults = read_value(text, Place("argument 1", None, 4))
    assert given is None
    assert message in faults[0].message
    assert (faults[0].file, faults[0].line, faults[0].column) == ("argument 1", None, column)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_subnormal=False)
    | st.text(max_size=20)
)
WORDS = st.sampled_from(
    ["yes", "~", "null", "1e-3", "0x1", "- a", "a: b", "#", "...", "---", "./a.py:B", "*a", "\x7f\x85", "\U0001f600"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)


@settings(deadline=None, max_examples=150)
@given(values=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_what_is_written_reads_back_to_the_same_values(file: Path, values: dict[str, Any]) -> None:
    values = {key: value for key, value in values.items() if not _has_surrogate(value)} or {"a": 1}
    text = dump_mapping(values)
    assert text.isascii()
    assert _values(file, text) == values
    for value in values.values():
        given, faults = read_value(dump_value(value), Place("argument 1"))
        assert faults == []
        assert given is not None
        assert given.value == value


def _has_surrogate(value: Any) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in repr(value)) or "\\ud" in repr(value)


FRAGMENTS = st.sampled_from(
    [
        "model",
        "lr",
        ": ",
        ":",
        "\n",
        "\n\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        '"',
        "#",
        "&a ",
        "*a",
        "!!",
        "!",
        "!!python/object/apply:os.system ['touch pwned']",
        "__import__('os').system('touch pwned')",
        "${HOME}",
        "`ls`",
        "%",
        "---\n",
        "...",
        "|",
        ">",
        "? ",
        "\t",
        "1e-3",
        "null",
        "true",
        "\x00",
        "é",
        "\ud83d",
        "\\",
        "<<",
        "9" * 400,
        "@",
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=4), max_size=25).map("".join)

_WATCHED = (
    "exec",
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "pickle.find_class",
    "import",
    "ctypes.dlopen",
)
_happened: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in _WATCHED:
        _happened.append(f"{event} {arguments}")


sys.addaudithook(_watch)


@settings(deadline=None, max_examples=400)
@given(text=TEXTS)
def test_no_text_raises_anything_or_makes_anything_happen(file: Path, text: str) -> None:
    global _watching
    content = text.encode("utf-8", errors="surrogatepass")
    reading = _read(file, content)
    read_value(text, Place("argument 1", None, 1))
    _watching = True
    try:
        again = read_mapping(file)
        read_value(text, Place("argument 1", None, 1))
    finally:
        _watching = False
    assert _happened == []
    assert again.faults == reading.faults
    if reading.faults:
        with pytest.raises(ConfigError):
            reading.checked()
    else:
        assert reading.complete
    for fault in reading.faults:
        assert fault.file == str(file)
        assert fault.line is None or 1 <= fault.line <= text.count("\n") + text.count("\r") + 2


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=200))
def test_no_bytes_raise_anything(file: Path, content: bytes) -> None:
    reading = _read(file, content)
    assert reading.given or reading.faults


def test_the_parts_of_a_value_keep_their_places_and_how_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("space:\n  lr: [1e-3, {from: 0.10}]\n  'two': null\n", encoding="utf-8")
    space = read_mapping(tmp_path / "a.yaml").given["space"]
    assert list(space.parts) == ["lr", "two"]
    first, second = space.parts["lr"].parts.values()
    assert (first.text, first.place and first.place.column) == ("1e-3", 8)
    inner = second.parts["from"]
    assert (inner.text, inner.value) == ("0.10", 0.1)
    assert inner.key_place is not None
    assert (inner.key_place.line, inner.key_place.column) == (2, 15)
    assert (space.parts["two"].value, space.parts["two"].parts) == (None, {})
