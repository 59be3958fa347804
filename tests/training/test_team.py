"""Processes that torchrun starts fit one network together: as one does but for the order of sums, and none is left waiting."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from demlopment import settings
from demlopment.errors import NotReadyError, SettingsError
from demlopment.records import Examples
from demlopment.training import ALONE, Fitted, Team, fit, gathered
from demlopment.training.course import Course
from demlopment.training.network import initialised
from demlopment.training.norm import WholeBatchNorm
from demlopment.training.team import together

# A tenth of the default rate, at which the optimizer makes 8e-3 of a loss in three epochs out of a sum in another order, which
# is 1e-7 off: one process with two threads instead of one shows as much. At this rate it is 7e-5.
RECIPE = settings.Training(epochs=3, batch_size=64, learning_rate=4e-4)
TOLERANCE = 5e-4  # of each loss, as a share
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
SCRIPT = """
import os, signal, sys
from dataclasses import astuple
from pathlib import Path
import numpy as np, torch
from demlopment import settings
from demlopment.errors import DemlopmentError
from demlopment.records import Examples
from demlopment.training import fit, gathered, join, team

folder, dies, after = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
parts = np.load(folder / "rows.npz")
train, validation = (
    Examples(np.arange(len(parts[f"{name}_labels"])).astype(str), parts[name], parts[f"{name}_labels"],
             np.full(len(parts[name]), ""), np.full(len(parts[name]), "")) for name in ("train", "validation")
)
epochs, mean = [], team.Team.mean

def counted(self, values):
    whole = mean(self, values)
    epochs.append(whole)
    if self.rank == dies and len(epochs) == after + 1:  # in the middle of the next one
        os.kill(os.getpid(), signal.SIGKILL)
    return whole

team.Team.mean = counted
try:
    with gathered() as all_of_us:
        if all_of_us.leads:
            fitted = fit(train, validation, 10, settings.Training.model_validate_json(sys.argv[4]), team=all_of_us,
                         checkpoint=folder / "fit.pt")
            torch.save({"weights": fitted.network.state_dict(), "curve": [list(astuple(e)) for e in fitted.curve],
                        "temperature": fitted.temperature, "size": all_of_us.size}, folder / "fitted.pt")
        else:
            join(all_of_us)
except DemlopmentError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def few(train: Examples) -> Examples:
    return train.where(np.arange(333))  # batches of 66 and 67: not every part is as large


def launched(
    folder: Path,
    train: Examples,
    validation: Examples,
    recipe: settings.Training = RECIPE,
    *,
    dies: int = -1,
    after: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Two processes fit together in `folder`; that of the rank `dies` is killed at the end of the epoch behind `after`."""
    np.savez(
        folder / "rows.npz",
        train=train.images,
        train_labels=train.labels,
        validation=validation.images,
        validation_labels=validation.labels,
    )
    (folder / "script.py").write_text(SCRIPT)
    mine = [str(folder), str(dies), str(after), recipe.model_dump_json()]
    command = [*LAUNCH, "--nproc-per-node", "2", str(folder / "script.py"), *mine]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def two(few: Examples, validation: Examples, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes fitted together."""
    folder = tmp_path_factory.mktemp("two")
    ended = launched(folder, few, validation)
    assert ended.returncode == 0, ended.stderr
    return dict(torch.load(folder / "fitted.pt", weights_only=True))


@pytest.fixture(scope="module")
def one(few: Examples, validation: Examples) -> Fitted:
    return fit(few, validation, 10, RECIPE)


def test_two_processes_learn_the_curve_of_one_with_the_whole_batch(two: dict[str, Any], one: Fitted) -> None:
    found, expected = np.array(two["curve"]), np.array([(each.train_loss, each.validation_loss) for each in one.curve])

    assert two["size"] == 2
    np.testing.assert_allclose(found[:, :2], expected, rtol=TOLERANCE)
    assert set(two["weights"]) == set(one.network.state_dict()), "what is kept is the network of a single process"


def test_two_processes_drop_what_one_would(few: Examples, validation: Examples, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"profile": "large", "epochs": 1})

    ended = launched(tmp_path, few, validation, recipe)
    alone = fit(few, validation, 10, recipe).curve[0]

    assert ended.returncode == 0, ended.stderr
    ((train_loss, validation_loss, _),) = torch.load(tmp_path / "fitted.pt", weights_only=True)["curve"]
    np.testing.assert_allclose((train_loss, validation_loss), (alone.train_loss, alone.validation_loss), rtol=TOLERANCE)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_all_and_the_next_fit_goes_on_to_the_same_weights_bit_for_bit(
    two: dict[str, Any], few: Examples, validation: Examples, tmp_path: Path, rank: int
) -> None:
    ended = launched(tmp_path, few, validation, dies=rank, after=1)
    left = torch.load(tmp_path / "fit.pt", weights_only=True)
    resumed = launched(tmp_path, few, validation)

    assert ended.returncode != 0
    assert "Signal 9 (SIGKILL) received by PID" in ended.stderr, "torchrun says who died"
    # Who is left sees it, unless torchrun asks it to end before.
    assert f"The fit of 2 processes came to an end in process {1 - rank}: " in ended.stderr or "SIGTERM" in ended.stderr
    assert len(left["state"]["curve"]) in (1, 2), "who is left may still keep the epoch that the other had finished too"
    assert resumed.returncode == 0, resumed.stderr
    found = torch.load(tmp_path / "fitted.pt", weights_only=True)
    assert found["curve"] == two["curve"]
    assert all(torch.equal(value, found["weights"][name]) for name, value in two["weights"].items())


def test_what_a_library_says_of_a_lost_process_is_told_in_two_sentences() -> None:
    gloo = "[/__w/gloo/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:43681. This is typically caused by X. GLHF"

    with pytest.raises(NotReadyError) as refused, together(Team(2, 1)):
        raise RuntimeError(gloo)
    with pytest.raises(RuntimeError, match="no team"), together(ALONE):
        raise RuntimeError("no team")

    assert refused.value.problem == (
        "The fit of 2 processes came to an end in process 1: Connection closed by peer [127.0.0.1]:43681."
    )
    assert refused.value.remedy == (
        "See what the others say, and run the same command again: it goes on from the last epoch that was kept."
    )


def test_what_several_processes_left_is_another_fit_to_one(few: Examples, validation: Examples) -> None:
    alone, three = (Course(10, RECIPE, "cpu", team=size) for size in (1, 3))

    assert alone.description != three.description


@given(rows=st.integers(1, 70), size=st.integers(1, 9))
def test_the_parts_are_the_batch_in_its_order_and_their_means_its_mean(rows: int, size: int) -> None:
    batch, team = torch.rand(rows, 3, dtype=torch.float64), [Team(size, rank) for rank in range(min(size, rows))]
    parts = [Team(size, rank).part(batch) for rank in range(size)]

    weighted = [each.weight(len(part), rows) * part.mean() for each, part in zip(team, parts, strict=False)]

    assert torch.equal(torch.cat(parts), batch)
    assert min(len(part) for part in parts) >= rows // size
    assert float(sum(weighted)) / size == pytest.approx(float(batch.mean()))


def test_more_processes_than_a_batch_has_rows_are_refused_in_two_sentences(few: Examples, validation: Examples) -> None:
    with pytest.raises(SettingsError) as refused:
        fit(few, validation, 10, RECIPE, team=Team(65))

    assert refused.value.problem == "A batch has 64 rows, and 65 processes fit together, each of which needs one."
    assert refused.value.remedy == "Start at most 64 processes, or raise training.batch_size."


def test_who_was_started_alone_is_a_team_of_one_that_learns_with_the_network_itself() -> None:
    network = initialised(10, 1)

    with gathered() as team:
        assert team == ALONE
        assert team.joined(network) is network
        assert team.mean([1.0, 2.0]) == 1.5


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("shape", [(33, 16, 12, 12), (2, 16, 1, 1), (33, 16)])
def test_the_normalisation_of_a_whole_batch_is_that_of_torch(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(16)
    nn.init.uniform_(layer.weight, 0.5, 2.0, generator=generator)
    ours = WholeBatchNorm(copy.deepcopy(layer))
    rows = 2 * torch.randn(shape, generator=generator) + 1
    weights = torch.randn(shape, generator=generator)

    found = []
    for each in (layer, ours):
        taken = rows.clone().requires_grad_()
        answer = each(taken)
        torch.autograd.backward((answer * weights).sum())
        found.append([answer, taken.grad, each.weight.grad, each.bias.grad, *each.buffers()])

    for theirs, mine in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
