from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.find import bundled_configs, find_config, read_config, read_settings
from recrun.config.given.arguments import read_arguments, read_overrides
from recrun.config.reading import Place
from recrun.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _faults(path: Path | str) -> list[str]:
    return [str(fault) for fault in read_config(path).faults]


def test_every_config_of_the_repository_is_bundled(repository: Path) -> None:
    files = {
        path.relative_to(repository / "configs").with_suffix("") for path in (repository / "configs").rglob("*.yaml")
    }
    assert set(bundled_configs()) == {file.as_posix() for file in files}
    assert "bprmf" in bundled_configs()


def test_an_existing_path_wins_over_a_bundled_config(folder: Path) -> None:
    assert (
        find_config("bprmf")
        == find_config("bprmf.yaml")
        == find_config("configs/bprmf.yaml")
        == bundled_configs()["bprmf"]
    )
    (folder / "bprmf").write_text("model: ease\n")
    assert find_config("bprmf") == Path("bprmf")


def test_a_folder_stands_in_nobodys_way_but_is_no_config(folder: Path) -> None:
    (folder / "bprmf").mkdir()
    (folder / "mine").mkdir()
    assert find_config("bprmf") == bundled_configs()["bprmf"]
    with pytest.raises(ConfigError, match=r"^mine: is a folder; expected a YAML file$"):
        find_config("mine")


def test_without_a_config_it_is_that_of_the_working_folder_else_bprmf(folder: Path) -> None:
    assert find_config(None) == bundled_configs()["bprmf"]
    (folder / "recrun.yaml").write_text("model: ease\n")
    assert find_config(None) == Path("recrun.yaml")


@pytest.mark.parametrize("name", ["bprfm", "nothing/there.yaml", "x" * 5000, "a\0b", ""])
def test_a_config_that_is_nowhere_points_to_the_list_of_bundled_ones(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no bundled config of that name \(see recrun list configs\)") as caught:
        find_config(name)
    assert caught.value.faults[0].suggestion == ("bprmf" if name == "bprfm" else None)


def test_an_override_given_as_a_config_is_recognised(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'lr=3', .*; expected a config, not KEY=VALUE$"):
        find_config("lr=3")


def test_the_file_of_an_inherited_value_is_written_without_a_detour(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "base.yaml").write_text("epochs: 2\n")
    (folder / "sub" / "a.yaml").write_text("extends: ../base.yaml\n")
    assert read_config("sub/a.yaml").given["epochs"].place.file == "base.yaml"
    # Above a folder that is a link, "../" is not where the link lies.
    (folder / "other" / "deep").mkdir(parents=True)
    (folder / "other" / "base.yaml").write_text("epochs: 3\n")
    (folder / "other" / "deep" / "a.yaml").write_text("extends: ../base.yaml\n")
    (folder / "link").symlink_to("other/deep")
    assert read_config("link/a.yaml").given["epochs"].value == 3


def test_a_config_inherits_what_it_extends_and_the_nearer_file_wins(folder: Path) -> None:
    (folder / "base").mkdir()
    (folder / "base" / "top.yaml").write_text("lr: 1\nseed: 1\nepochs: 1\n")
    (folder / "base" / "middle.yaml").write_text("extends: top.yaml\nseed: 2\nepochs: 2\n")
    (folder / "a.yaml").write_text("extends: base/middle.yaml\nepochs: 3\n")
    given = read_config("a.yaml").checked()
    assert {key: value.value for key, value in given.items()} == {"lr": 1, "seed": 2, "epochs": 3}
    assert given["seed"].place == Place("base/middle.yaml", 2, 7)
    assert "extends" not in given


def test_a_bundled_config_can_be_extended_by_name_and_a_neighbour_wins(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: ease\nreg_weight: 3\n")
    assert read_config("a.yaml").checked()["model"].value == "ease"
    (folder / "ease").write_text("model: mine\n")
    assert read_config("a.yaml").checked()["model"].value == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: nothing.yaml", "a.yaml:1:10: extends: there is no file 'nothing.yaml', and no bundled config"),
        ("extends: bprfm", "did you mean 'bprmf'?"),
        (
            "extends: [bprmf, 3]",
            "a.yaml:1:18: extends: expected the path of a YAML file, or the name of a bundled config",
        ),
        ("extends: .", "a.yaml:1:10: extends: '.' is a folder; expected a YAML file"),
        ("extends: ''", "a.yaml:1:10: extends: '' is a folder; expected a YAML file"),
        ("extends: a.yaml", "a.yaml:1:10: extends: is circular: a.yaml extends this file in turn"),
        ("extends: ../{here}/b.yaml", "b.yaml:1:10: extends: is circular: ./a.yaml extends this file in turn"),
        ("extends: []", "a.yaml:1:10: extends: names nothing; expected a config, or several"),
        (
            "extends: [bprmf, bprfm]",
            "a.yaml:1:18: extends: there is no file 'bprfm', and no bundled config 'bprfm'; did",
        ),
        ("extends: [bprmf, ease, bprmf]", "a.yaml:1:24: extends: 'bprmf' is listed twice; list it once"),
        ("extends: [bprmf, b.yaml]", "b.yaml:1:10: extends: is circular: ./a.yaml extends this file in turn"),
        ("extends: [d.yaml, bprmf]", "d.yaml:2:5: lr: anchors"),
        ("extends: c.yaml", "c.yaml: the file is empty"),
    ],
)
def test_what_cannot_be_extended_is_a_fault_beside_the_others(folder: Path, text: str, message: str) -> None:
    (folder / "a.yaml").write_text(text.replace("{here}", folder.name) + "\nlr: &x 1\n")
    (folder / "b.yaml").write_text("extends: ./a.yaml\n")
    (folder / "c.yaml").write_text("")
    (folder / "d.yaml").write_text("seed: 1\nlr: &x 1\n")
    reading = read_config("a.yaml")
    assert any(message in str(fault) for fault in reading.faults)
    assert any("anchors" in str(fault) for fault in reading.faults)
    assert not reading.complete


def test_a_chain_that_is_long_but_ends_is_read(folder: Path) -> None:
    (folder / "0.yaml").write_text("seed: 7\n")
    for n in range(1, 50):
        (folder / f"{n}.yaml").write_text(f"extends: {n - 1}.yaml\n")
    assert read_config("49.yaml").checked()["seed"].value == 7


def test_a_chain_through_a_link_to_itself_ends(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: link.yaml\n")
    (folder / "link.yaml").symlink_to("a.yaml")
    assert _faults("a.yaml") == ["a.yaml:1:10: extends: is circular: link.yaml extends this file in turn"]


def test_arguments_are_read_as_yaml_with_their_places() -> None:
    given = read_overrides(["lr=1e-3", "monitors=[a, b]", "root=a=b", "id="])
    assert {key: value.value for key, value in given.items()} == {
        "lr": 1e-3,
        "monitors": ["a", "b"],
        "root": "a=b",
        "id": None,
    }
    assert given["monitors"].place == Place("argument 2", None, 10)
    assert given["monitors"].key_place == Place("argument 2", None, 1)
    assert given["monitors"].items == (Place("argument 2", None, 11), Place("argument 2", None, 14))


def test_a_value_that_begins_with_a_percent_sign_is_text_with_and_without_quotes() -> None:
    for argument in ("time_format=%d/%m/%Y", 'time_format="%d/%m/%Y"', "time_format='%d/%m/%Y'"):
        assert read_overrides([argument])["time_format"].value == "%d/%m/%Y"
    assert read_overrides(['x=%a "b\\'])["x"].value == '%a "b\\'


@pytest.mark.parametrize(
    "text", [",", "|", ";", ":", "::", "||", "\t", " ", "&", "*", "!", ">", "@", "#", "?", "-", "`"]
)
def test_marks_alone_are_text_as_a_separator_is(text: str) -> None:
    assert read_overrides([f"separator={text}"])["separator"].value == text


def test_every_faulty_argument_is_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        read_overrides(["lr", "=3", "lr=1", "lr=2", "extends=a.yaml", "x=[1", "monitors=&a b", "y=1 #2", "~lr"])
    assert [str(fault) for fault in caught.value.faults] == [
        "argument 1: expected KEY=VALUE, found 'lr'",
        "argument 2: expected KEY=VALUE, without spaces around '=', found '=3'",
        "argument 4:1: lr: is set twice",
        "argument 5:1: extends: belongs in a config file; here, name the config itself",
        "argument 6:3: x: not valid YAML: while parsing a flow sequence expected ',' or ']', "
        "but got '<stream end>'; a bracket is not closed",
        "argument 7:10: monitors: anchors and aliases are not supported; write the value out",
        "argument 8:3: y: '#2' would be a comment; put the value in quotes",
        "argument 9: expected KEY=VALUE (lr=null unsets what is inherited), found '~lr'",
    ]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(max_size=12) | st.from_regex(r"[a-z]{1,3}=[^\x00-\x1f]{0,8}", fullmatch=True), max_size=5))
def test_no_arguments_raise_anything_but_faults(arguments: list[str]) -> None:
    reading = read_arguments(arguments)
    assert len(reading.given) + len(reading.faults) >= len(arguments)
    for fault in reading.faults:
        assert fault.file is not None
        number = int(fault.file.removeprefix("argument "))
        assert 1 <= number <= len(arguments)
        assert fault.column is None or 1 <= fault.column <= len(arguments[number - 1]) + 1


def test_a_relative_path_is_that_of_the_working_folder(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.yaml").write_text("seed: 1\n")
    os.chdir("sub")
    assert find_config("a.yaml") == Path("a.yaml")


def test_of_several_bases_the_later_wins_and_the_file_over_all(folder: Path) -> None:
    (folder / "one.yaml").write_text("model: bprmf\nseed: 1\nlr: 0.1\nepochs: 1\n")
    (folder / "two.yaml").write_text("extends: deep.yaml\nlr: 0.2\nepochs: 2\n")
    (folder / "deep.yaml").write_text("lr: 0.3\nbatch_size: 3\n")
    (folder / "a.yaml").write_text("extends: [one.yaml, two.yaml]\nepochs: 4\n")
    given = read_config("a.yaml").checked()
    values = {key: each.value for key, each in given.items()}
    assert values == {"model": "bprmf", "seed": 1, "lr": 0.2, "epochs": 4, "batch_size": 3}
    assert [each.place.file for each in given.values() if each.place] == [
        "one.yaml",
        "one.yaml",
        "two.yaml",
        "a.yaml",
        "deep.yaml",
    ]
    layers, each = [], given["lr"]
    while each is not None:
        layers.append((each.layer, each.value))
        each = each.overrides
    assert layers == [(2, 0.2), (1, 0.3), (0, 0.1)]
    mapping = {"extends": ["one.yaml", "two.yaml"], "epochs": 4}
    assert {key: each.value for key, each in read_settings(mapping).checked().items()} == values


def test_two_bases_may_extend_the_same_file_but_not_endlessly(folder: Path) -> None:
    (folder / "0.yaml").write_text("model: bprmf\n")
    (folder / "1.yaml").write_text("extends: 0.yaml\nseed: 1\n")
    for n in range(2, 40):
        (folder / f"{n}.yaml").write_text(f"extends: [{n - 1}.yaml, {n - 2}.yaml]\nepochs: {n}\n")
    assert {key: each.value for key, each in read_config("5.yaml").checked().items()} == {
        "model": "bprmf",
        "seed": 1,
        "epochs": 5,
    }
    faults = _faults("39.yaml")
    assert "inherits from" in faults[0]
    assert faults[0].endswith("files, counted as often as they are extended; at most 100 are read")


def test_all_faults_of_several_bases_are_found_each_in_its_file(folder: Path) -> None:
    (folder / "one.yaml").write_text("lr: &x 1\n")
    (folder / "two.yaml").write_text("seed: *x\n")
    (folder / "a.yaml").write_text("extends: [one.yaml, nothing.yaml, two.yaml, 3]\nepochs: [\n")
    assert [fault.partition(": ")[0] for fault in _faults("a.yaml")] == [
        "a.yaml:3:1",
        "a.yaml:1:21",
        "a.yaml:1:45",
        "two.yaml:1:7",
        "one.yaml:1:5",
    ]
