from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.config.parser import Parser
from recrun.config.reading import Given, Place
from recrun.errors import ConfigError
from recrun.registry.component import REQUIRED, Parameter
from recrun.types import PositiveInt


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parser:
    """The parser of a script, in an empty folder, as the script of the documentation makes it."""
    monkeypatch.chdir(tmp_path)
    cfg = Parser()
    cfg.add_argument("-eb", "--embedding-dim", type=int, default=64)
    cfg.set_defaults(description="BPRMF", lr=1e-3, optimizer="adam", seed=1)
    return cfg


def _refused(cfg: Parser, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as exit:
        cfg.compile(list(arguments))
    assert exit.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_a_script_reads_its_settings_as_attributes_of_the_parser(cfg: Parser) -> None:
    config = cfg.compile([])
    assert (cfg.embedding_dim, cfg.lr, cfg.description, cfg.epochs) == (64, 1e-3, "BPRMF", 100)
    assert cfg.config is config
    assert cfg.beta1 == 0.9


def test_settings_cannot_be_read_before_compile(cfg: Parser) -> None:
    with pytest.raises(AttributeError, match=r"settings can be read after compile\(\)"):
        _ = cfg.lr
    with pytest.raises(ConfigError, match="not compiled yet"):
        _ = cfg.config


def test_the_command_line_wins_over_yaml_over_set_defaults_over_the_components_default(
    cfg: Parser, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("lr: 0.2\nembedding_dim: 8\nepochs: 7\n")
    assert cfg.compile([]).lr == 1e-3
    assert cfg.compile(["--config", "a.yaml"]).lr == 0.2
    config = cfg.compile(["--config", "a.yaml", "--lr", "3e-1", "-eb", "16"])
    assert (config.lr, config.embedding_dim, config.epochs, config.batch_size) == (0.3, 16, 7, 2048)


@pytest.mark.parametrize(
    "arguments", [["-eb", "32"], ["--embedding-dim", "32"], ["--embedding_dim", "32"], ["--embedding-dim=32"]]
)
def test_every_spelling_of_a_flag_is_taken(cfg: Parser, arguments: list[str]) -> None:
    assert cfg.compile(arguments).embedding_dim == 32


def test_a_value_on_the_command_line_is_written_as_in_yaml(cfg: Parser) -> None:
    config = cfg.compile(
        ["--monitors", "[loss, recall@5]", "--weight-decay", "1e-8", "--nesterov", "--seed", "-1", "--id", "7"]
    )
    assert config.monitors == ["loss", "recall@5"]
    assert (config.weight_decay, config.nesterov, config.id) == (1e-8, True, "7")
    assert config.seed >= 0


def test_switches_are_true_and_false_as_yaml_says(cfg: Parser, tmp_path: Path) -> None:
    cfg.add_argument("-f", "--fast", action="store_true", help="be fast")
    cfg.add_argument("--no-checks", action="store_false")
    assert (cfg.compile([]).fast, cfg.compile([]).no_checks) == (False, True)
    config = cfg.compile(["-f", "--no-checks", "false"])
    assert (config.fast, config.no_checks) == (True, False)
    (tmp_path / "a.yaml").write_text("fast: true\n")
    assert cfg.compile(["--config", "a.yaml"]).fast is True
    assert cfg.compile(["--config", "a.yaml", "--fast", "false"]).fast is False


def test_a_setting_of_any_type_choices_and_converters_is_declared(cfg: Parser) -> None:
    cfg.add_argument("--sizes", type=list[PositiveInt], default=[8, 4])
    cfg.add_argument("--mode", choices=["fast", "exact"], default="fast")
    cfg.add_argument("--folder", type=Path, default=Path("a"))
    cfg.add_argument("--name", required=True)
    cfg.add_argument("--ratio", type=float)
    config = cfg.compile(["--sizes", "[2, 3]", "--mode", "exact", "--folder", "12", "--name", "007"])
    assert (config.sizes, config.mode, config.folder, config.name) == ([2, 3], "exact", Path("12"), "007")
    assert config.ratio is None


def test_all_faults_of_the_command_line_and_the_file_are_printed_together(
    cfg: Parser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def port(text: str) -> int:
        if not text.isdecimal():
            raise argparse.ArgumentTypeError("no port")
        return int(text)

    cfg.add_argument("--port", type=port, default=80)
    cfg.add_argument("--mode", choices=["fast", "exact"], default="fast")
    cfg.add_argument("--name", required=True)
    (tmp_path / "a.yaml").write_text("lr: -1\nepohs: 3\nbatch_size: 1.5\nseed: &a 3\n")
    faults = _refused(cfg, capsys, "--config", "a.yaml", "--epchs", "2", "--lr", "x", "--port", "abc", "--mode", "fsat")
    assert faults == [
        "error: --epchs: unknown option; did you mean '--epochs'?",
        "error: --lr: lr: expected a number > 0, found 'x' (text)",
        "error: --mode: mode: expected one of fast, exact, found 'fsat' (text); did you mean 'fast'?",
        "error: --port: port: cannot convert 'abc': no port",
        "error: a.yaml:2:1: epohs: unknown setting; did you mean 'epochs'?",
        "error: a.yaml:3:13: batch_size: expected an integer >= 1, found 1.5 (a number)",
        "error: a.yaml:4:7: seed: anchors and aliases are not supported; write the value out",
    ]
    assert _refused(cfg, capsys) == ["error: name: must be set: script needs text"]
    assert _refused(cfg, capsys, "--name", "a", "stray") == ["error: unexpected arguments: stray"]
    (fault,) = _refused(cfg, capsys, "--name", "a", "--config", "nothing.yaml")
    assert "there is no file 'nothing.yaml'" in fault


def test_set_defaults_refuses_what_is_not_declared_or_does_not_fit(cfg: Parser) -> None:
    with pytest.raises(ConfigError) as caught:
        cfg.set_defaults(epohs=3, lr="fast", batch_size=0, seed=3)
    assert [str(fault) for fault in caught.value.faults] == [
        "epohs: unknown setting; did you mean 'epochs'?",
        "lr: expected a number > 0, found 'fast' (text)",
        "batch_size: expected an integer >= 1, found 0 (an integer)",
    ]


@pytest.mark.parametrize(
    ("flags", "options", "message"),
    [
        (["-x"], {}, "needs a long flag"),
        (["--a b"], {}, "needs a long flag"),
        (
            ["--lr"],
            {"type": float, "default": 1.0},
            r"lr: is already a setting of optimizer; change its default with set_defaults\(lr=...\)",
        ),
        (["--embedding-dim"], {}, "embedding_dim: the flag --embedding-dim is already in use"),
        (["-eb", "--other"], {}, "other: the flag -eb is already in use"),
        (["-h", "--other"], {}, "other: the flag -h is already in use"),
        (["--config"], {}, "config: the flag --config is already in use"),
        (["--items"], {}, "items: script cannot have a setting of this name"),
        (["--compile"], {}, "compile: script cannot have a setting of this name"),
        (["--x"], {"action": "append"}, "x: expected the action store, store_true or store_false, found 'append'"),
        (["--x"], {"type": int, "default": "a"}, "x: expected an integer, found 'a'"),
        (["--x"], {"choices": [1, 2], "default": 3}, "x: expected one of 1, 2, found 3"),
    ],
)
def test_an_argument_that_could_not_work_is_refused(
    cfg: Parser, flags: list[str], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        cfg.add_argument(*flags, **options)  # type: ignore[arg-type]


def test_two_components_that_declare_a_key_with_two_types_cannot_be_used_together() -> None:
    parser = Parser([Parameter("n_layers", int, 2, owner="model a")])
    with pytest.raises(ConfigError, match="n_layers: model a declares it as an integer, loss b as a number"):
        parser.declare([Parameter("n_layers", float, 2.0, owner="loss b")])
    parser.declare([Parameter("n_layers", int, 3, owner="loss c")])
    assert parser.resolve({}) == {"n_layers": 2}


def test_two_parsers_never_share_a_default_that_can_change() -> None:
    default = [1, [2]]
    settings = [Parameter("sizes", list, default)]
    first, second = Parser(settings).resolve({}), Parser(settings).resolve({})
    first["sizes"][1].append(3)
    first["sizes"].append(4)
    assert second["sizes"] == default == [1, [2]]

    a, b = Parser(), Parser()
    a.compile([]).monitors.append("x")
    a.set_defaults(epochs=3)
    a.add_argument("--mine")
    assert "x" not in b.compile([]).monitors
    assert "x" not in a.compile([]).monitors
    assert b.compile([]).epochs == 100
    assert "mine" not in b.parameters


def test_resolving_reports_all_faults_in_reading_order() -> None:
    parser = Parser([Parameter("a", int, REQUIRED), Parameter("b", list[int], [1])])
    given = {
        "c": Given(1, Place("f", 3, 4), "1", Place("f", 3, 1)),
        "b": Given([1, "x"], Place("f", 2, 4), None, Place("f", 2, 1), (Place("f", 2, 5), Place("f", 2, 8))),
    }
    with pytest.raises(ConfigError) as caught:
        parser.resolve(given)
    assert [str(fault) for fault in caught.value.faults] == [
        "a: must be set: run needs an integer",
        "f:2:8: b: expected a list of integers; element 2 is 'x' (text)",
        "f:3:1: c: unknown setting",
    ]


def test_text_may_be_written_without_quotes_where_it_looks_like_something_else() -> None:
    parser = Parser([Parameter("id", str | None, None), Parameter("n", int | None, None)])
    for value, text in ((7, "007"), (True, "true"), (1e-3, "1e-3")):
        assert parser.resolve({"id": Given(value, None, text)})["id"] == text
    assert parser.resolve({"id": Given(None, None, "null")})["id"] is None
    with pytest.raises(ConfigError, match="found 'x' "):
        parser.resolve({"n": Given("x", None, "x")})


HELP = """
import sys
import recrun.parser
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise SystemExit("torch was imported")
sys.meta_path.insert(0, Forbidden())
cfg = recrun.parser.Parser()
cfg.add_argument("-eb", "--embedding-dim", type=int, default=64, help="100% of it")
cfg.set_defaults(lr=0.25)
cfg.compile(["--help"])
"""


def test_asking_a_script_for_help_touches_neither_torch_nor_cuda() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "-eb" in done.stdout
    assert "100% of it (an integer; default: 64)" in " ".join(done.stdout.split())
    assert "(a number > 0; default: 0.25)" in " ".join(done.stdout.split())


def test_compiling_seeds_the_generators(cfg: Parser) -> None:
    import random

    import numpy as np
    import torch

    drawn = []
    for _ in range(2):
        cfg.compile(["--seed", "5"])
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
