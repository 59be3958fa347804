"""What both servers look like to the table: three addresses, a model store and the keys of its token file."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, Self, TypeVar

from tests.torchserve.exchange import Answer, Ask, Port, exchange

Key = TypeVar("Key")
Name = Literal["plain", "json", "kserve", "kservev2", "token"]


@dataclass(frozen=True)
class Configuration:
    """One way to start a server, in TorchServe's own keys; everything that is not here has its default."""

    name: Name
    properties: dict[str, str] = field(default_factory=dict)
    model_api: bool = True
    token: bool = False


CONFIGURATIONS: dict[Name, Configuration] = {
    each.name: each
    for each in (
        Configuration(
            "plain",
            {
                "metrics_mode": "prometheus",
                "max_response_size": "100000",
                "job_queue_size": "10",
                "ts_open_inference_protocol": "false",  # our default is true
            },
        ),
        Configuration("json", {"service_envelope": "json"}),
        Configuration("kserve", {"service_envelope": "kserve"}),
        Configuration("kservev2", {"service_envelope": "kservev2", "ts_open_inference_protocol": "true"}),
        Configuration(
            "token",
            {
                "load_models": "digits=digits-1.0.mar",
                "default_workers_per_model": "1",
                "disable_token_authorization": "false",  # our default depends on the address
                "cors_allowed_origin": "*",
                "cors_allowed_methods": "GET, POST",
            },
            model_api=False,
            token=True,
        ),
    )
}


def arguments(root: Path, store: Path, configuration: Configuration, properties: Mapping[str, str]) -> list[str]:
    """TorchServe's command line, which both servers understand; its file is written into `root`."""
    file = root / "config.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in {**configuration.properties, **properties}.items()))
    options = ["--start", "--foreground", "--ncs", "--model-store", str(store), "--ts-config", str(file)]
    options += [] if configuration.token else ["--disable-token-auth"]
    return options + (["--enable-model-api"] if configuration.model_api else [])


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    addresses: dict[Port, str]
    key_file: Path

    def send(self, ask: Ask) -> Answer:
        """The answer to one request of the table, with its keys filled in."""
        headers = tuple((name, self._filled(value)) for name, value in ask.headers)
        return exchange(self.addresses[ask.port], Ask(**{**vars(ask), "headers": headers}))

    def _filled(self, value: str) -> str:
        if "{" not in value:
            return value
        keys = {scope: held["key"] for scope, held in json.loads(self.key_file.read_text()).items()}
        return value.format(**keys)


class Servers(Generic[Key]):
    """One server at a time: it is kept while tests ask for the same one, and stopped before the next one starts."""

    def __init__(self, start: Callable[[Key], AbstractContextManager[Server]]) -> None:
        self._start = start
        self._held = ExitStack()
        self._now: tuple[Key, Server] | None = None

    def of(self, key: Key) -> Server:
        if self._now is None or self._now[0] != key:
            self._held.close()
            self._now = (key, self._held.enter_context(self._start(key)))
        return self._now[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
