"""Settings come from variables, then a file, then defaults; an unknown key is refused with the nearest valid one."""

from pathlib import Path

import pytest

from demlopment import settings
from demlopment.errors import SettingsError


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demlopment.toml").write_text('home = "from-file"\n[endpoint]\nprocesses = 3\nmetrics_port = 9\n')
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__PROCESSES", "4")

    loaded = settings.load()

    assert (loaded.home, loaded.endpoint.processes, loaded.endpoint.metrics_port) == (Path("from-file"), 4, 9)
    assert loaded.endpoint.inference_port == 8080


def test_what_the_command_line_was_given_wins_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_HOME", "from-variable")

    assert settings.load(home=Path("given")).home == Path("given")


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("hom = 1", "hom", "home"),
        ("[endpoint]\nproceses = 1", "endpoint.proceses", "endpoint.processes"),
        ("[endpont]\nprocesses = 1", "endpont", "endpoint"),
    ],
)
def test_an_unknown_key_in_the_file_is_answered_with_the_nearest_valid_one(
    tmp_path: Path, text: str, wrong: str, right: str
) -> None:
    (tmp_path / "demlopment.toml").write_text(text)

    with pytest.raises(SettingsError, match=rf"setting {wrong} does not exist\. Did you mean {right}\?"):
        settings.load()


def test_an_unknown_variable_is_answered_with_the_nearest_valid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__PROCESES", "4")

    with pytest.raises(SettingsError, match=r"Did you mean DEMLOPMENT_ENDPOINT__PROCESSES\?"):
        settings.load()


@pytest.mark.parametrize(("variable", "value"), [("ENDPOINT__INFERENCE_PORT", "70000"), ("TRAINING__EPOCHS", "many")])
def test_a_value_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"DEMLOPMENT_{variable}", value)

    with pytest.raises(SettingsError, match=rf"{variable.lower().replace('__', '.')} has the value '{value}'"):
        settings.load()


def test_a_file_that_is_not_toml_or_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demlopment.toml").write_text("home = ")
    with pytest.raises(SettingsError, match=r"demlopment\.toml is not valid TOML"):
        settings.load()

    monkeypatch.setenv("DEMLOPMENT_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml, which is not a file"):
        settings.load()


def test_a_choice_of_numbers_can_be_made_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__QUEUE_FULL_STATUS", "429")

    assert settings.load().endpoint.queue_full_status == 429


@pytest.mark.parametrize("value", ["DEMLOPMENT_ENDPOINT__TOKENS", "HF_TOKEN,DEMLOPMENT_*", "A B", "A=1", "[A-Z]"])
def test_a_variable_that_no_handler_may_see_cannot_be_passed_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__HANDLER_ENV", value)

    with pytest.raises(SettingsError, match=r"endpoint\.handler_env"):
        settings.load()


def test_variables_for_handlers_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__HANDLER_ENV", "HF_TOKEN, AWS_*")

    assert settings.load().endpoint.handler_env == "HF_TOKEN, AWS_*"


def test_loading_creates_nothing(tmp_path: Path) -> None:
    settings.load()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["s3://bucket", "s3://bucket/a/lake/", "file:///srv/lake", "/srv/my lake", "../lake"])
def test_a_lake_is_a_folder_or_an_address_in_a_bucket(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEMLOPMENT_DATA__LAKE", value)

    assert settings.load().data.lake == value


@pytest.mark.parametrize("value", ["s3:///lake", "s3://", "ftp://host/lake", "s3://bucket/my lake", "s3://bucket/%41", "://"])
def test_another_address_of_a_lake_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEMLOPMENT_DATA__LAKE", value)

    with pytest.raises(SettingsError, match=r"data\.lake"):
        settings.load()


@pytest.mark.parametrize(
    ("value", "names"), [("012AB", ("0", "1", "2", "A", "B")), ("cat, dog", ("cat", "dog")), ("Ä,ö", ("Ä", "ö"))]
)
def test_classes_are_characters_or_names_between_commas(
    monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DEMLOPMENT_DATA__CLASSES", value)

    assert settings.named(settings.load().data.classes) == names


def test_classes_may_be_a_list_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demlopment.toml").write_text('[data]\nclasses = ["one", "two"]\n')

    assert settings.named(settings.load().data.classes) == ("one", "two")


@pytest.mark.parametrize("value", ["1", "11", "a,b,a", "a,,b", "a,../b", "..,a", "a,.", "a\tb", f"a,{'b' * 101}"])
def test_classes_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEMLOPMENT_DATA__CLASSES", value)

    with pytest.raises(SettingsError, match=r"data\.classes"):
        settings.load()
