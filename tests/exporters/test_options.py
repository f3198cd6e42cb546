"""The command line and the configuration file: one set of names, and errors that say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgscope.errors import UsageError
from cgscope.yamlfile import ConfigError
from exporters.cli import main
from exporters.options import Options, options, parser, split_address


def parsed(*words: str) -> Options:
    """Parse a command line."""
    return options(parser().parse_args(words))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Name a configuration file."""
    return tmp_path / "exporter.yml"


def test_loopback_is_the_default() -> None:
    """Nobody serves a network by accident."""
    assert parsed().listen == ("127.0.0.1:9753",)


def test_the_toolkits_spellings_mean_the_same() -> None:
    """Whoever knows other exporters needs no new options."""
    ours = parsed("--listen", ":1", "--listen", "[::1]:2", "--web-config", "w.yml")
    assert parsed("--web.listen-address", ":1", "--web.listen-address=[::1]:2", "--web.config.file", "w.yml") == ours


def test_a_file_sets_what_options_set(config: Path) -> None:
    """Keys are the long options' names; lists for repeatable ones."""
    config.write_text(
        "listen: [127.0.0.1:1, '[::1]:2']\nnaming: thin\nmax-series: 10\ncontainer-label: owner\n"
        "web.telemetry-path: /m\ncollectors: {io: off, hugetlb: true}\n"
    )
    words = ["--listen", "127.0.0.1:1", "--listen", "[::1]:2", "--naming", "thin", "--max-series", "10"]
    words += ["--container-label", "owner", "--web.telemetry-path", "/m", "--no-collector.io", "--collector.hugetlb"]
    expected = parsed(*words)
    found = parsed("--config", str(config))
    assert (found.settings, found.listen, found.telemetry_path) == (
        expected.settings,
        expected.listen,
        expected.telemetry_path,
    )


def test_options_win_over_the_file(config: Path) -> None:
    """What was just typed is what is meant."""
    config.write_text("naming: thin\ncollectors: {io: false}\n")
    found = parsed("--config", str(config), "--naming", "cadvisor", "--collector.io").settings
    assert (found.naming, found.collectors["io"]) == ("cadvisor", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("namin: thin\n", "1:1: there is no option 'namin'; did you mean naming?"),
        ("naming: thick\n", "1:9: expected cadvisor or thin, found 'thick'"),
        ("a: [\n", "2:1: "),
        ("max-series: -1\n", "1:13: '-1' is not a number"),
        ("listen: localhost\n", "1:9: 'localhost' is not HOST:PORT"),
        ("\nlisten: {a: b}\n", "2:9: expected a single value"),
        ("collectors:\n  memry: true\n", "2:3: there is no collector 'memry'; did you mean memory"),
        ("collectors:\n  memory: maybe\n", "2:11: expected true or false"),
        ("naming: thin\nnaming: thin\n", "2:1: 'naming' is given twice"),
        ("- a\n", "1:1: expected keys and values"),
        ("naming: !!python/object:os.system thin\nonce: true\n", "2:1: there is no option 'once'"),
        ("config: x\n", "1:1: there is no option 'config'"),
    ],
)
def test_mistakes_in_the_file_are_located(config: Path, text: str, expected: str) -> None:
    """Line, column, what is wrong, what was meant."""
    config.write_text(text)
    with pytest.raises(ConfigError) as error:
        parsed("--config", str(config))
    assert str(error.value).startswith(f"{config}:{expected}")


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: \x00", b"[" * 100_000, b"a" * (1 << 21), b"&a [*a, *a]"])
def test_hostile_files_are_errors(config: Path, data: bytes) -> None:
    """Bytes that are no YAML, or too deep or too large, give one error and no traceback."""
    config.write_bytes(data)
    with pytest.raises(ConfigError):
        parsed("--config", str(config))


def test_an_empty_file_is_fine(config: Path) -> None:
    """Nothing set is the defaults."""
    config.write_text("# nothing\n")
    assert parsed("--config", str(config)).settings == parsed().settings


@pytest.mark.parametrize(
    "text", ["x", "1.2.3.4", "::1:80", "h:99999", "[::1", "[x]:1", "h:-1", "h:\uff11", "h..x:1", "x" * 64 + ":1"]
)
def test_addresses_are_checked(text: str) -> None:
    """A wrong address is found before anything is opened."""
    with pytest.raises(ValueError, match=r".+"):
        split_address(text)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--lisen", "x"], "did you mean --listen?"),
        (["--naming", "thick"], "invalid choice"),
        (["--max-series", "many"], "not a number"),
        (["--web.telemetry-path", "metrics"], "not the path of a page"),
        (["--collector.memry"], "did you mean --collector.memory"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line that says what to do."""
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert expected in err
    with pytest.raises(UsageError):
        parsed(*words)


def test_check_config_reads_everything(config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`--check-config` says that all is well, or where it is not: in the web configuration too."""
    config.write_text("naming: thin\n")
    assert main(["--config", str(config), "--check-config"]) == 0
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_users:\n  me: secret\n")
    config.write_text(f"web-config: {web}\n")
    assert main(["--config", str(config), "--check-config"]) == 1
    assert f"{web}:2:7: " in capfd.readouterr().err


def test_a_missing_file_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the name of the file."""
    assert main(["--config", "/nonexistent/x.yml"]) == 1
    assert capfd.readouterr().err == "cgroup-exporter: /nonexistent/x.yml: No such file or directory\n"


def test_the_documented_file_is_right(config: Path) -> None:
    """What docs/exporter.md shows is accepted."""
    text = (Path(__file__).resolve().parents[2] / "docs/exporter.md").read_text(encoding="utf-8")
    example = text.split("## Configuration file")[1].split("```yaml\n")[1].split("```")[0]
    config.write_text(example)
    found = parsed("--config", str(config))
    assert found.settings.collectors == {"io": False, "processes": True, "filesystem": True}
    assert found.settings.container_labels == ("owner", "team")
