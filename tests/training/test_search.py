"""A search has the same trials however it is run, and loses none that it finished."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.home import Home
from demlopment.records import Trial
from demlopment.training import draws, studies
from demlopment.training.crew import Crew
from demlopment.training.space import Choice, Range, Space
from tests.fakes import MemoryTracker
from tests.training import searching
from tests.training.searching import SPACE, Shuffled, Valley, searched


def without_runs(trials: tuple[Trial, ...]) -> list[Trial]:
    return [replace(trial, run="") for trial in trials]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, ...]:
    """What every search with this seed must come to."""
    return searched(Home(tmp_path_factory.mktemp("serial")))


def test_a_search_prunes_fails_and_finds_the_valley(serial: tuple[Trial, ...]) -> None:
    states = [trial.state for trial in serial]
    best = studies.best_of("valley", serial)

    assert [trial.number for trial in serial] == list(range(20))
    assert set(states) == {"complete", "pruned", "failed"}
    assert best.value is not None
    assert best.value < 0.5
    assert best.parameters["learning_rate"] == pytest.approx(0.01, rel=0.5)
    assert all(len(trial.errors) < searching.EPOCHS for trial in serial if trial.state == "pruned")
    assert all(trial.run for trial in serial), "each is a tracked run, also one that failed"


def test_several_processes_come_to_the_same_trials_as_one(tmp_path: Path, serial: tuple[Trial, ...]) -> None:
    assert without_runs(searched(Home(tmp_path), workers=3, crew=Crew)) == without_runs(serial)


@given(workers=st.integers(1, draws.GENERATION), seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_it_does_not_matter_which_trial_ends_first(
    tmp_path_factory: pytest.TempPathFactory, serial: tuple[Trial, ...], workers: int, seed: int
) -> None:
    shuffled = partial(Shuffled, rng=Random(seed))

    trials = searched(Home(tmp_path_factory.mktemp("shuffled")), workers=workers, crew=shuffled)

    assert without_runs(trials) == without_runs(serial)


def started(home: Home, workers: int, log: Path, stuck: float) -> subprocess.Popen[str]:
    """The same search in a process of its own, which never ends: one of its trials waits for what nobody sends."""
    gate = log.with_name("gate")
    if not gate.exists():
        os.mkfifo(gate)
    command = [sys.executable, "-m", "tests.training.searching"]
    arguments = [home.root, 20, workers, log, gate, stuck]
    return subprocess.Popen([*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until_stuck(process: subprocess.Popen[str], log: Path, stuck: float) -> None:
    while not (log.exists() and f"begin {stuck}\n" in log.read_text()):
        assert process.poll() is None, process.communicate()[1]
        os.sched_yield()


def living(group: int) -> list[str]:
    """The processes of a group that are neither gone nor zombies."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in found.splitlines())
    return [row[2] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


def test_a_killed_search_goes_on_and_repeats_no_finished_trial(tmp_path: Path, serial: tuple[Trial, ...]) -> None:
    home, log = Home(tmp_path / "var"), tmp_path / "log"
    stuck = next(trial for trial in serial[9:] if trial.state == "complete")
    process = started(home, 2, log, stuck.parameters["learning_rate"])

    wait_until_stuck(process, log, stuck.parameters["learning_rate"])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while living(process.pid):
        os.sched_yield()
    with studies.opened(home, None, "valley", SPACE, searching.PLAN) as study:
        left = study.trials()
    trials = searched(home, objective=Valley(log))

    finished = [trial for trial in left if trial.state != "running"]
    assert left[stuck.number].state == "running"
    assert len(finished) >= draws.GENERATION, "those of the generation before"
    assert without_runs(trials) == without_runs(serial)
    assert [trials[trial.number].run for trial in finished] == [trial.run for trial in finished]
    begun = log.read_text().splitlines()
    assert [begun.count(f"begin {trial.parameters['learning_rate']}") for trial in finished] == [1] * len(finished)
    assert begun.count(f"begin {stuck.parameters['learning_rate']}") == 2


def test_a_worker_that_dies_is_named_and_its_trial_is_run_again(tmp_path: Path, serial: tuple[Trial, ...]) -> None:
    home = Home(tmp_path)

    with pytest.raises(NotReadyError, match=r"ran trial \d+ ended with -9"):
        searched(home, objective=Suicide(serial[3].parameters["learning_rate"]), crew=Crew)

    assert without_runs(searched(home)) == without_runs(serial)


class Suicide(Valley):
    """A process that the kernel kills in one trial."""

    def __init__(self, last: float) -> None:
        super().__init__(stuck=last)

    def __call__(self, parameters, on_epoch):  # type: ignore[no-untyped-def]  # as in Valley
        if parameters["learning_rate"] == self.stuck:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(parameters, on_epoch)


def test_a_search_that_was_finished_goes_on_with_a_larger_budget(tmp_path: Path, serial: tuple[Trial, ...]) -> None:
    tracker = MemoryTracker()

    first = searched(Home(tmp_path), trials=5, tracker=tracker)
    again = searched(Home(tmp_path), trials=5, tracker=tracker)
    more = searched(Home(tmp_path), trials=20, tracker=tracker)

    assert first == again == more[:5]
    assert without_runs(more) == without_runs(serial)
    assert list(tracker.runs.values()) == [f"valley {number}" for number in range(20)]


def test_another_seed_or_sampler_draws_another_recipe(tmp_path: Path, serial: tuple[Trial, ...]) -> None:
    home = Home(tmp_path)
    searched(home, trials=18)
    with studies.opened(home, None, "valley", SPACE, searching.PLAN) as study:
        before, siblings = study.kept()[:16], study.kept()[16:]

        drawn = [
            draws.draw("tpe", 3, study.ranges, before, siblings),
            draws.draw("tpe", 4, study.ranges, before, siblings),
            draws.draw("random", 3, study.ranges, before, siblings),
        ]

    assert drawn[0] == serial[18].parameters
    assert drawn[1] != drawn[0] != drawn[2]


def test_time_and_patience_end_a_search(tmp_path: Path) -> None:
    assert searched(Home(tmp_path), "late", minutes=0) == ()

    patient = searched(Home(tmp_path), "patient", trials=1000, patience=8)

    assert len(patient) % draws.GENERATION == 0
    values = [trial.value for trial in patient if trial.value is not None]
    assert min(values) == min(trial.value for trial in patient[:-8] if trial.value is not None)


def test_a_study_of_another_space_or_seed_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    trials = searched(home, trials=3)
    kept = (home.studies / "valley.log").read_bytes()

    others: list[tuple[Space, str]] = [
        ({name: each for name, each in SPACE.items() if name != "batch_size"}, 'batch_size is {"low": 16.*this search is none'),
        ({**SPACE, "batch_size": Range(16, 64)}, 'batch_size is {"low": 16, "high": 128.*is {"low": 16, "high": 64'),
        ({**SPACE, "label_smoothing": Choice((0.1, 0.0))}, r"label_smoothing is .*\[0.0, 0.1\].*\[0.1, 0.0\]"),
        ({**SPACE, "strength": Range(1, 9)}, "strength is none, and that of this search is"),
    ]
    for space, said in others:
        with pytest.raises(DataError, match=f"The study valley is of another search space: its range of {said}"):
            searched(home, space=space)
    with pytest.raises(DataError, match="begun with seed 3, and this search has 4"):
        searched(home, seed=4)

    assert (home.studies / "valley.log").read_bytes() == kept
    assert searched(home, trials=3) == trials


def test_a_study_is_held_by_one_search_at_a_time(tmp_path: Path) -> None:
    with (
        studies.opened(Home(tmp_path), None, "valley", SPACE, searching.PLAN),
        pytest.raises(HomeError, match=r"search-valley\.lock is held"),
    ):
        searched(Home(tmp_path))


def test_a_generation_that_fails_as_a_whole_ends_the_search_with_the_reason(tmp_path: Path) -> None:
    space: Space = {"learning_rate": Range(0.09, 0.1), "batch_size": Range(16, 128)}

    with pytest.raises(DataError, match=r"All 8 trials of the study valley failed.*no longer finite"):
        searched(Home(tmp_path), space=space)


def test_a_name_that_is_no_name_and_a_study_that_is_not_there_are_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    searched(home, trials=1)
    with pytest.raises(DataError, match="The study valley has no complete trial yet"):
        studies.best(home, None, "valley")
    trials = searched(home, trials=3)

    for name in ("../valley", ""):
        with pytest.raises(DataError, match="cannot be the name of a study"):
            searched(home, name)
        with pytest.raises(DataError, match="cannot be the name of a study"):
            studies.best(home, None, name)
    with pytest.raises(DataError, match=r"no study peak\. Those that there are: valley"):
        studies.best(home, None, "peak")
    assert studies.best(home, None, "valley") == min(trials[1:], key=lambda trial: trial.value or 0)


def test_the_median_rule_is_that_of_optuna(serial: tuple[Trial, ...]) -> None:
    before = serial[: draws.GENERATION * 2]
    free = int(searching.EPOCHS * draws.GRACE)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=draws.GENERATION // 2, n_warmup_steps=free)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    for trial in before:
        if trial.state == "complete":
            steps = dict(enumerate(trial.errors))
            study.add_trial(optuna.trial.create_trial(value=trial.value, intermediate_values=steps))
    limits = draws.limits(before)
    rng = np.random.default_rng(1)
    agreed = set()

    for _ in range(40):
        asked, shares = study.ask(), rng.uniform(0, 0.7, searching.EPOCHS)
        for epoch in range(searching.EPOCHS - 1):
            asked.report(shares[epoch], epoch)
            ours = bool(shares[: epoch + 1].min() > limits[epoch])
            agreed.add(ours)
            assert ours == asked.should_prune(), (epoch, shares)

    assert agreed == {True, False}
    assert draws.limits(before[:3]) == (), "too few to compare with"
