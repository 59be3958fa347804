"""`demlopment monitor`: its files, and its old use."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demlopment.cli import app
from demlopment.commands.monitor import objectives
from demlopment.monitoring.alerts import alerts
from demlopment.serving.tally import BOUNDS
from demlopment.settings import Settings
from tests.test_cli import assert_two_sentences, run

ROOT = Path(__file__).parents[1]


def test_rules_and_dashboard_are_written_where_one_says(tmp_path: Path) -> None:
    wrote = [
        CliRunner().invoke(app, ["monitor", what, "--to", str(tmp_path / "new")]).stdout.strip()
        for what in ("rules", "dashboards")
    ]

    assert wrote == [str(tmp_path / "new" / name) for name in ("demlopment.rules.yml", "demlopment.json")]
    assert [len(json.loads(Path(path).read_text())) > 0 for path in wrote] == [True, True]


def test_the_settings_are_the_objectives(tmp_path: Path) -> None:
    env = {"DEMLOPMENT_ALERTS__AVAILABILITY": "0.9", "DEMLOPMENT_MONITORING__SLOW_MILLISECONDS": "50"}

    done = CliRunner().invoke(app, ["monitor", "rules", "--to", str(tmp_path), "--job", 'a "b"'], env=env)

    text = (tmp_path / "demlopment.rules.yml").read_text()
    expressions = {each["expr"] for group in json.loads(text)["groups"] for each in group["rules"]}
    assert done.exit_code == 0
    assert 'up{job="a \\"b\\""} == 0 or absent(up{job="a \\"b\\""})' in expressions
    assert any('le="0.05"' in each for each in expressions)
    assert any("> 1.44" in each for each in expressions)


def test_slow_is_between_no_two_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_MONITORING__SLOW_MILLISECONDS", "77")

    done = run("monitor", "rules", "--to", tmp_path, home=tmp_path / "var")

    assert_two_sentences(done)
    assert "77" in done.stderr
    assert not list(tmp_path.glob("*.yml"))


@pytest.mark.parametrize("milliseconds", [1000 * bound for bound in BOUNDS])
def test_slow_may_be_every_bound(tmp_path: Path, milliseconds: float) -> None:
    env = {"DEMLOPMENT_MONITORING__SLOW_MILLISECONDS": f"{milliseconds:g}"}

    assert CliRunner().invoke(app, ["monitor", "rules", "--to", str(tmp_path)], env=env).exit_code == 0


@pytest.mark.parametrize("words", [("monitor",), ("monitor", "traffic")])
def test_an_archive_needs_no_word_before_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(*words, tmp_path / "none.mar", home=tmp_path / "var")

    assert_two_sentences(done)
    assert "none.mar" in done.stderr


def test_the_page_lists_every_alert_with_its_severity() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    table = page.split("| alert | severity | when |")[1].split("\n\n")[0]

    said = {
        (name.strip().strip("`"), row.split("|")[2].strip())
        for row in table.splitlines()[2:]
        for name in row.split("|")[1].split(",")
    }

    assert said == {(alert.name, alert.severity) for alert in alerts(objectives(Settings()))}
