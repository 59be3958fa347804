"""What a worker sees of the environment: what it needs to run, and no secret."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.handlers.environment import reduced

HOME = Path("/somewhere")


def test_what_libraries_need_is_kept() -> None:
    needed = {
        "PATH": "/bin",
        "LANG": "C",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TS_MY_SETTING": "x",
    }

    assert needed.items() <= reduced(needed, HOME).items()


def test_settings_secrets_and_whatever_else_is_not_needed_are_left_out() -> None:
    environment = {
        "DEMLOPMENT_ENDPOINT__TOKENS": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HF_TOKEN": "x",
        "TS_API_KEY": "x",
        "DATABASE_URL": "x",
        "path": "x",
    }

    assert set(reduced(environment, HOME)) == {"HOME", "PYTHONUNBUFFERED"}


def test_home_is_the_workers_own() -> None:
    assert reduced({"HOME": "/root"}, HOME)["HOME"] == "/somewhere"


def test_a_variable_is_hidden_if_its_whole_name_matches() -> None:
    environment = {"TS_ONE": "1", "TS_ONE_MORE": "2", "PATH": "/bin"}

    seen = reduced(environment, HOME, hidden="TS_O.E|PAT")

    assert "TS_ONE" not in seen
    assert {"TS_ONE_MORE", "PATH"} <= set(seen)


@given(st.dictionaries(st.text(), st.text()))
def test_no_variable_of_ours_is_ever_seen(environment: dict[str, str]) -> None:
    ours = {f"DEMLOPMENT_{name}": value for name, value in environment.items()}

    assert set(reduced({**environment, **ours}, HOME)) & set(ours) == set()
