"""The command line in processes of its own: exit status, two sentences, no traceback, and nothing half-written."""

import gzip
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from demlopment import archive, cli, images
from demlopment.archive import Archive, Card
from demlopment.data import Lake, RawRows, packaged_digits, spoiled
from demlopment.errors import DataError
from demlopment.lifecycle.history import History
from demlopment.records import Verdict
from tests.data.sources.written import idx_pair, pictures, png, zip_of_pictures

COMMAND = [sys.executable, "-m", "demlopment"]


def run(*arguments: str | Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DEMLOPMENT_HOME": str(home), "COLUMNS": "200"} | variables
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def commands(app: typer.Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of the app as the words that call it."""
    own = [(*before, each.name or each.callback.__name__) for each in app.registered_commands if each.callback]
    below = [
        words
        for group in app.registered_groups
        if group.typer_instance
        for words in commands(group.typer_instance, (*before, str(group.name)))
    ]
    return own + below


def test_every_command_has_an_example_of_itself_in_its_help() -> None:
    every = commands(cli.app)

    helps = {words: CliRunner().invoke(cli.app, [*words, "--help"]).stdout for words in every}

    silent = [words for words, shown in helps.items() if not re.search(rf"Example:.*demlopment {' '.join(words)}", shown)]

    assert len(every) > 8
    assert not silent


def test_every_command_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "commands.md").read_text()

    absent = [words for words in commands(cli.app) if f"demlopment {' '.join(words)}" not in page]

    assert not absent


def test_help_and_version_touch_nothing(tmp_path: Path) -> None:
    home = tmp_path / "var"

    assert "demo" in run("--help", home=home).stdout
    assert re.match(r"demlopment \d+\.\d+", run("--version", home=home).stdout)
    assert not home.exists()


def test_ingesting_twice_adds_once(tmp_path: Path) -> None:
    first, second = run("data", "ingest", home=tmp_path), run("data", "ingest", home=tmp_path)

    assert first.stdout.startswith("5000 rows: 5000 added, 0 known, 0 in quarantine")
    assert second.stdout.startswith("5000 rows: 0 added, 5000 known, 0 in quarantine")


def test_idx_files_are_told_by_their_content_and_enter_with_the_labels_beside_them(tmp_path: Path) -> None:
    pictures = idx_pair(tmp_path / "files", 5)

    ingested = run("data", "ingest", "--from", pictures, home=tmp_path / "var")
    labels = pictures.with_name("train-labels-idx1-ubyte.gz").rename(tmp_path / "elsewhere")
    alone = run("data", "ingest", "--from", pictures, home=tmp_path / "var")
    given = run("data", "ingest", "--from", pictures, "--labels", labels, home=tmp_path / "var")

    assert ingested.stdout.startswith("5 rows: 5 added, 0 known, 0 in quarantine")
    assert_two_sentences(alone, pictures.name, "--labels FILE")
    assert given.stdout.startswith("5 rows: ")
    assert "0 in quarantine" in given.stdout


def test_a_zip_of_pictures_enters_under_the_name_it_is_given(tmp_path: Path) -> None:
    packed = zip_of_pictures(tmp_path / "files", 12)

    first = run("data", "ingest", "--from", packed, "--name", "ours", "--licence", "CC0", home=tmp_path / "var")
    again = run("data", "ingest", "--from", packed.with_name("pictures"), "--name", "ours", home=tmp_path / "var")
    reserved = run("data", "ingest", "--from", packed, "--name", "feedback", home=tmp_path / "var")

    assert first.stdout.startswith("12 rows: 12 added, 0 known, 0 in quarantine")
    assert again.stdout.startswith("12 rows: 0 added, 12 known, 0 in quarantine")
    assert_two_sentences(reserved, "'feedback'")


def test_bad_rows_of_a_users_file_are_in_quarantine_with_their_reasons(tmp_path: Path) -> None:
    rows = np.zeros((3, 785), int)
    rows[:, 300:320] = 200
    rows[:, 1] = range(3)
    rows[1, 784] = 17
    source = tmp_path / "mine.csv.gz"
    source.write_bytes(gzip.compress("\n".join(",".join(map(str, row)) for row in rows).encode()))

    ingested = run("data", "ingest", "--from", source, home=tmp_path / "var")
    listed = run("data", "quarantine", home=tmp_path / "var")

    assert "1 in quarantine" in ingested.stdout
    assert "1 rows in quarantine" in listed.stdout
    assert "label outside 0 to 9" in listed.stdout


def test_lines_that_leave_open_where_their_label_stands_are_taken_once_that_is_said(tmp_path: Path) -> None:
    source = tmp_path / "mine.csv"
    source.write_text("".join(f"{label}," + "0," * 300 + "255," * 80 + "0," * 403 + "9\n" for label in (3, 4)))

    asked = run("data", "ingest", "--from", source, home=tmp_path / "var")
    told = run("data", "ingest", "--from", source, "--labels", "first", home=tmp_path / "var")

    assert_two_sentences(asked, source.name, "--labels first")
    assert told.stdout.startswith("2 rows: 1 added, 0 known, 1 in quarantine"), "the same pixels have two labels"


@pytest.mark.parametrize("name", ["e\x1b[31mf", "e\nf", "e\u202ef"])
def test_a_name_that_steers_a_terminal_is_shown_and_not_obeyed(tmp_path: Path, name: str) -> None:
    bad, folder = tmp_path / f"{name}.csv", tmp_path / name
    bad.write_text("nonsense")
    (folder / name).mkdir(parents=True)
    (folder / name / "a.png").write_bytes(png(pictures(1)[0]))

    refused = run("data", "ingest", "--from", bad, home=tmp_path / "var")
    taken = run("data", "ingest", "--from", folder, home=tmp_path / "var")
    listed = run("data", "quarantine", "--limit", "5", home=tmp_path / "var")

    assert_two_sentences(refused, name.encode("unicode_escape").decode())
    assert taken.stdout.startswith("1 rows: 0 added, 0 known, 1 in quarantine")
    assert "label outside 0 to 9" in listed.stdout
    said = refused.stderr + taken.stdout + taken.stderr + listed.stdout + listed.stderr
    assert all(line.isprintable() for line in said.splitlines())
    assert len(listed.stdout.splitlines()) == 3


def assert_two_sentences(result: subprocess.CompletedProcess[str], *names: str) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert len(re.findall(r"[.?](?: |$)", message)) >= 2, message
    for name in names:
        assert name in message


def test_a_missing_truncated_or_foreign_source_is_named_and_nothing_is_added(tmp_path: Path) -> None:
    home = tmp_path / "var"
    truncated, text = tmp_path / "truncated.csv.gz", tmp_path / "text.csv"
    truncated.write_bytes(gzip.compress(b"1," * 784 + b"1\n")[:20])
    text.write_text("these are,not digits\n")

    for source in (tmp_path / "none.csv.gz", truncated, text):
        assert_two_sentences(run("data", "ingest", "--from", source, home=home), source.name)

    assert run("data", "snapshots", home=home).stdout == ""
    assert not (home / "lake").exists()


@pytest.mark.parametrize("command", [("demo",), ("serve",), ("data", "ingest"), ("history",)])
def test_a_home_that_is_a_file_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = tmp_path / "var"
    home.write_text("a file")

    assert_two_sentences(run(*command, home=home), str(home))


def test_an_unknown_setting_is_answered_with_the_nearest_valid_one(tmp_path: Path) -> None:
    result = run("history", home=tmp_path, DEMLOPMENT_ENDPOINT__PROZESSES="3")

    assert_two_sentences(result, "DEMLOPMENT_ENDPOINT__PROZESSES", "Did you mean DEMLOPMENT_ENDPOINT__PROCESSES?")


def test_debug_shows_the_traceback_as_well(tmp_path: Path) -> None:
    result = run("--debug", "models", "verify", tmp_path / "none.mar", home=tmp_path)

    assert "Traceback" in result.stderr
    assert result.returncode == 1


def test_a_broken_archive_is_named_and_does_not_hide_the_whole_ones(tmp_path: Path) -> None:
    scores = {"accuracy": 0.98, "accuracy_low": 0.97, "accuracy_high": 0.99}
    card = Card("digits", "1.0", tuple("01"), images.VERSION, 1.0, scores, {"snapshot": "all"})
    whole = archive.write(tmp_path / "models", Archive(card, b"network", {}, b"png"))
    broken = whole.with_name("digits-2.0.mar")
    broken.write_bytes(whole.read_bytes()[:100])

    listed = run("models", "list", home=tmp_path)

    assert "digits 1.0  accuracy 98.00%" in listed.stdout
    assert f"{broken}  broken" in listed.stdout
    assert_two_sentences(run("models", "verify", broken, home=tmp_path), broken.name)


def test_asking_without_an_endpoint_says_how_to_start_one(tmp_path: Path) -> None:
    picture = tmp_path / "seven.png"
    picture.write_bytes(images.encode_png(np.eye(28, dtype=np.uint8) * 255))

    assert_two_sentences(run("predict", picture, home=tmp_path), "demlopment serve")
    assert_two_sentences(run("traffic", "show", home=tmp_path), "demlopment serve")


def test_the_history_lists_verdicts_the_oldest_first(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    history.record(Verdict("gate", "promote", "digits 1.0", "", "It is the first.", {}), 0.0)
    history.record(Verdict("gate", "refuse", "digits 2.0", "digits 1.0", "It is worse.", {}), 1.0)

    lines = run("history", home=tmp_path).stdout.splitlines()

    assert [line.split("gate: ")[1] for line in lines] == [
        "promote digits 1.0. It is the first.",
        "refuse digits 2.0. It is worse.",
    ]


def test_a_held_home_is_refused_while_it_is_held(tmp_path: Path) -> None:
    from demlopment.home import Home

    with Home(tmp_path).locked("turn"):
        assert_two_sentences(run("data", "ingest", home=tmp_path), "turn.lock")

    assert run("data", "ingest", home=tmp_path).returncode == 0


def test_what_libraries_read_when_they_are_imported_is_set_before(tmp_path: Path) -> None:
    script = (
        "import os, demlopment.cli as c, sys; sys.argv = ['demlopment', '--version']\n"
        "assert not {'mlflow', 'polars'} & set(sys.modules)\ntry: c.main()\nexcept SystemExit: pass\n"
    )
    script += "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'], '_RJEM_MALLOC_CONF' in os.environ)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert result.stdout.splitlines()[-1] == "true true True"


def test_a_source_too_small_to_learn_from_is_named(tmp_path: Path) -> None:
    source = tmp_path / "small.csv"
    rows = np.zeros((3, 785), int)
    rows[:, 300:320] = 200
    rows[:, 1] = range(3)
    source.write_text("\n".join(",".join(map(str, row)) for row in rows))

    result = run("demo", home=tmp_path / "var", DEMLOPMENT_DATA__SOURCE=str(source))

    assert_two_sentences(result)
    assert "fault of ours" not in result.stderr


@pytest.mark.parametrize(("name", "value"), [("SEED", str(2**63)), ("SEED", "-1"), ("LEARNING_RATE", "inf"), ("EPOCHS", "0")])
def test_a_setting_that_training_cannot_take_is_refused_before_it_starts(tmp_path: Path, name: str, value: str) -> None:
    result = run("demo", home=tmp_path / "var", **{f"DEMLOPMENT_TRAINING__{name}": value})

    assert_two_sentences(result, f"training.{name.lower()}", value)
    assert not (tmp_path / "var").exists()


def test_ctrl_c_while_the_command_line_is_being_imported_shows_no_traceback(tmp_path: Path) -> None:
    impatient = tmp_path / "typer.py"
    impatient.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    command = [sys.executable, "-c", "import demlopment.__main__ as m; m.main()"]

    stopped = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])},
    )

    assert stopped.returncode == -signal.SIGINT
    assert stopped.stderr == ""


def test_an_audit_of_what_was_pinned_says_that_nothing_leaks_and_one_of_nothing_says_how_to_begin(tmp_path: Path) -> None:
    home = tmp_path / "var"
    assert_two_sentences(run("data", "audit", home=home), "snapshot")
    lake = Lake(home / "lake")
    lake.add(packaged_digits())
    lake.pin("mine", "demlopment-1")

    audited = run("data", "audit", "mine", home=home)

    assert audited.stdout.splitlines()[-1] == (
        "mine: 0 leaks, 0 of 40 class shares beyond chance; 0 of 5000 rows left out as near-duplicates."
    )
    assert audited.returncode == 0
    assert_two_sentences(run("data", "audit", "other", home=home), "other")


@pytest.mark.parametrize("terminated", [[], [signal.SIGTERM]], ids=["Ctrl-C", "a polite kill"])
def test_an_interruption_that_a_library_made_an_error_of_its_own_is_one(
    terminated: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        error = DataError("The table is damaged.", "Restore it.")
        raise error from (None if terminated else KeyboardInterrupt())

    monkeypatch.setattr(cli, "app", interrupted)
    monkeypatch.setattr(cli, "TERMINATED", terminated)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    with pytest.raises(SystemExit) as left:
        cli.main()

    assert left.value.code == 130
    assert capsys.readouterr().err == "Interrupted. Run the same command again: what was finished is kept.\n"


def test_labels_in_question_are_listed_written_out_and_come_back_as_verdicts(tmp_path: Path) -> None:
    home, lake, folder = tmp_path / "var", Lake(tmp_path / "var" / "lake"), tmp_path / "to-review"
    rows = packaged_digits()
    lake.add(spoiled(RawRows(rows.name, rows.sha256, rows.frame.gather_every(100))))
    lake.pin("before", "salt")
    ask = [*("--home", str(home)), "data", "review"]

    listed = CliRunner().invoke(cli.app, ask).stdout
    exported = CliRunner().invoke(cli.app, [*ask, "--export", str(folder)])
    file = folder / "reviews.csv"
    file.write_text(re.sub(r",$", ",1", file.read_text(), flags=re.MULTILINE) + "p,nobody,1,,,,,keep\n")
    nobody = CliRunner().invoke(cli.app, [*ask, "--from", str(file)])
    taken = CliRunner().invoke(cli.app, [*ask, "--from", str(file), "--by", "ann"]).stdout
    both = CliRunner().invoke(cli.app, [*ask, "--from", str(file), "--export", str(folder)])
    given = CliRunner().invoke(cli.app, [*ask, "--by", "ann"])
    lake.pin("after", "salt")
    changed = CliRunner().invoke(cli.app, ["--home", str(home), "data", "diff", "before", "after"]).stdout

    assert re.search(r"^0 -> 1  [0-9a-f]{64}  contradicted by planted\n1 labels wait for review\.$", listed, re.MULTILINE)
    assert exported.exit_code == 0
    assert isinstance(nobody.exception, DataError)
    assert "2 lines: 1 reviews added, 0 known, 0 without a verdict, 1 in quarantine.\nline 3: no row has this key" in taken
    assert (both.exit_code, given.exit_code) == (2, 2)
    assert "0 rows added, 0 removed, 1 relabelled." in changed
    assert CliRunner().invoke(cli.app, ask).stdout == "0 labels wait for review.\n"


ARENAS = """
import ctypes, sys, threading
from demlopment.commands.data import frugal

frugal()
threads = [threading.Thread(target=lambda: ctypes.create_string_buffer(100_000)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose arenas these are: run it on Debian")
def test_the_threads_of_a_data_command_share_one_arena(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ARENAS, str(tmp_path / "arenas")], check=True)

    assert (tmp_path / "arenas").read_text().count("<heap nr=") == 1


FREED = """
import ctypes
from pathlib import Path
from demlopment.commands.data import frugal

frugal()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]


def taken(size, number):
    blocks = [libc.malloc(size) for _ in range(number)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


taken(30_000_000, 1)
before = resident()
taken(100_000, 400)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, which keeps what is freed: run it on Debian")
def test_a_data_command_gives_memory_back_whatever_it_had_before() -> None:
    kept = subprocess.run([sys.executable, "-c", FREED], check=True, capture_output=True, text=True).stdout

    assert int(kept) < 20_000_000  # of 40, which all stay without it
