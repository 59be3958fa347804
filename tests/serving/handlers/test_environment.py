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


def test_what_a_person_has_named_is_seen_also_if_it_looks_like_a_secret_unless_it_is_hidden() -> None:
    environment = {"HF_TOKEN": "1", "AWS_REGION": "2", "AWS_SECRET_ACCESS_KEY": "3", "HTTPS_PROXY": "4", "https_proxy": "5"}

    seen = reduced(environment, HOME, hidden="AWS_SECRET.*", passed="HF_TOKEN, AWS_*,HTTPS_PROXY")

    assert set(seen) == {"HF_TOKEN", "AWS_REGION", "HTTPS_PROXY", "HOME", "PYTHONUNBUFFERED"}


def test_strict_lets_everything_through_but_ours_and_what_is_hidden() -> None:
    environment = {"HOME": "/root", "DATABASE_URL": "x", "MODEL_SIZE": "y", "DEMLOPMENT_HOME": "z"}

    seen = reduced(environment, HOME, hidden="DATA.*", strict=True)

    assert seen == {"HOME": "/root", "MODEL_SIZE": "y", "PYTHONUNBUFFERED": "1"}


@given(st.dictionaries(st.text(), st.text()), st.booleans())
def test_no_variable_of_ours_is_ever_seen(environment: dict[str, str], strict: bool) -> None:  # noqa: FBT001 - drawn
    ours = {f"DEMLOPMENT_{name}": value for name, value in environment.items()}

    assert set(reduced({**environment, **ours}, HOME, passed="*", strict=strict)) & set(ours) == set()
