"""The benchmark of a look at very many answers, with few of them: what it fills is what is looked at, and memory is its own."""

from pathlib import Path

from benchmarks import look
from demlopment import archive as archives
from demlopment.home import Home


def test_what_is_filled_is_looked_at_without_an_object_for_each_answer(tmp_path: Path) -> None:
    home = Home(tmp_path / "var")
    home.open()
    packed = look.filled(home, 3000)

    found = look.look(home.root, archives.write(home.models, packed))

    assert (found["windows"], found["of_answers"]) == (30, 100)
    assert found["alarms"] <= 1
    assert 50 < found["largest_resident_mb"] < 4000
