"""Services of compose.yaml as processes, from the file's own commands, variables and files: stage FOLDER NAME...

Runs below tests/compose/enter, where the services' names lead to this machine's loopback and all ports are free. Where an image
is somebody else's, its program is Debian's; moto stands for the object store. Once every service is healthy, what came of a few
questions between them is printed as JSON.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests import store
from tests.compose import file
from tests.compose.file import Service
from tests.data.sources.written import folder_of_pictures
from tests.serving.endpoint import digit, packed

SECRETS = {name: f"a-secret-{name.lower().replace('_', '-')}" for name in file.variables()}
PATIENCE_SECONDS = 300
STOP_SECONDS = 20
BESIDE = Path(sys.executable).parent
# What an image of ours says by itself, see the Dockerfile.
OURS = {"DEMLOPMENT_ENDPOINT__HOST": "0.0.0.0"}
NOT_ROOT = ["unshare", "--user", "--map-user=10001", "--map-group=10001", "--"]  # JupyterLab refuses to run as root


def main(folder: Path, names: list[str]) -> None:
    services = {name: Service(name, settings, folder / name) for name, settings in file.loaded(SECRETS)["services"].items()}
    with contextlib.ExitStack() as stack:
        for name in names:
            services[name].lay()
            stack.enter_context(STARTED.get(name, _program)(services[name]))
            _wait(services[name], _healthy(services[name]))
        print(
            json.dumps({question: ask(services) for question, ask in QUESTIONS.items() if set(question.split()) <= set(names)})
        )


def missing(name: str) -> str:
    """What a service needs and this machine has not, or nothing."""
    if name in NEEDED:
        return "" if _found(NEEDED[name][0]) else NEEDED[name][1]
    return ""


NEEDED = {
    "postgres": ("initdb", "PostgreSQL is missing: apt-get install postgresql"),
    "prometheus": ("prometheus", "Prometheus is missing: apt-get install prometheus"),
    "alertmanager": ("prometheus-alertmanager", "The alert manager is missing: apt-get install prometheus-alertmanager"),
    "mlflow": ("gunicorn", "MLflow's server is missing: make venv_development"),
    "optuna": ("optuna-dashboard", "Optuna's dashboard is missing: make venv_development"),
    "jupyter": ("jupyter-lab", "JupyterLab is missing: make venv_development"),
    "dagster": ("dagster-webserver", "Dagster is missing: make venv_orchestrate"),
    "grafana": ("grafana-server", "Grafana is missing, which Debian does not have"),
}


def _found(program: str) -> str | None:
    debians = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return shutil.which(program, path=str(BESIDE)) or (str(debians[-1]) if debians else shutil.which(program))


@contextlib.contextmanager
def _running(
    service: Service, command: list[str], environment: Mapping[str, str], become: list[str] | None = None
) -> Iterator[None]:
    log = service.root / "log"
    with log.open("wb") as output:
        words = [_found(command[0]) or command[0], *command[1:]]
        process = subprocess.Popen(
            [*(become or ()), *words], stdout=output, stderr=output, stdin=subprocess.PIPE, cwd=service.root, env=environment
        )
        PROCESSES[service.name] = process
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


PROCESSES: dict[str, "subprocess.Popen[bytes]"] = {}


@contextlib.contextmanager
def _program(service: Service) -> Iterator[None]:
    """Another's program: its image's entry point is named as the service is, or by compose."""
    names = {"alertmanager": ["prometheus-alertmanager"], "prometheus": ["prometheus"]}
    command = [*names.get(service.name, []), *service.command]
    with _running(service, command, _bare() | service.environment, NOT_ROOT if service.name == "jupyter" else None):
        yield


@contextlib.contextmanager
def _demlopment(service: Service) -> Iterator[None]:
    home = service.root / "var/lib/demlopment"
    if service.name == "endpoint":
        packed(home / "models", "1.0")
    variables = _bare() | OURS | {"DEMLOPMENT_HOME": str(home)} | service.environment
    with _running(service, ["demlopment", *service.command], variables | _loading(service)):
        yield


def _loading(service: Service) -> dict[str, str]:
    """A model, which a person's volume has from a turn of the loop."""
    return {"DEMLOPMENT_ENDPOINT__LOAD_MODELS": "all"} if service.name == "endpoint" else {}


@contextlib.contextmanager
def _objects(service: Service) -> Iterator[None]:
    """moto in the place of SeaweedFS, on its port and with its bucket."""
    options = dict(word.lstrip("-").split("=") for word in service.command if "=" in word)
    port = options["s3.port"]
    with _running(service, [sys.executable, store.__file__, port], _bare() | service.environment):
        _wait(service, lambda: _accepts(int(port)))
        _bucket(service).create_bucket(Bucket=options["bucket"])
        yield


def _bucket(service: Service) -> Any:
    import boto3

    key, secret = (service.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    return boto3.client(
        "s3", endpoint_url="http://s3:8333", aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1"
    )


@contextlib.contextmanager
def _postgres(service: Service) -> Iterator[None]:
    """What the image does with an empty volume: a cluster, its user with a password, its database, and then our file."""
    variables, data = service.environment, service.root / "var/lib/postgresql/data"
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    password = service.root / "password"
    password.write_text(variables["POSTGRES_PASSWORD"])
    for path in (service.root, data, password):
        shutil.chown(path, "postgres", "postgres")
    initdb, psql = _found("initdb"), _found("psql")
    assert initdb is not None
    assert psql is not None
    user, database = variables["POSTGRES_USER"], variables["POSTGRES_DB"]
    making = [initdb, "-D", str(data), "-U", user, "--pwfile", str(password), "-A", "scram-sha-256", "--no-sync"]
    subprocess.run([*become, *making], cwd=service.root, stdout=subprocess.DEVNULL, check=True)
    words = [
        "postgres",
        "-D",
        str(data),
        "-c",
        "listen_addresses=*",
        "-c",
        f"unix_socket_directories={service.root}",
        "-c",
        "fsync=off",
    ]
    with _running(service, words, _bare(), become):
        asking = ["--host=127.0.0.1", f"--username={user}", "-v", "ON_ERROR_STOP=1", "--quiet"]
        known = _bare() | {"PGPASSWORD": variables["POSTGRES_PASSWORD"]}
        _wait(service, lambda: _ends_well([psql, *asking, "-c", f'CREATE DATABASE "{database}"', "postgres"], known))
        script = service.root / "docker-entrypoint-initdb.d/databases.sql"
        subprocess.run([psql, *asking, "-f", str(script), database], env=known, check=True)
        yield


STARTED: dict[str, Callable[[Service], contextlib.AbstractContextManager[None]]] = {
    "s3": _objects,
    "postgres": _postgres,
    "endpoint": _demlopment,
    "dagster": _demlopment,
}


def _bare() -> dict[str, str]:
    """Nothing of this machine's settings; `healthy` is in the images."""
    path = os.pathsep.join([str(BESIDE), str(file.ROOT / "deploy" / "docker"), os.environ["PATH"]])
    return {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ} | {"PATH": path}


def _healthy(service: Service) -> Callable[[], bool]:
    # In a container both are where the image has them: the home, and PostgreSQL's socket.
    places = {"DEMLOPMENT_HOME": str(service.root / "var/lib/demlopment"), "PGHOST": str(service.root)}
    command = service.health
    if command[0] == "wget" and shutil.which("wget") is None:
        command = [sys.executable, "-c", f"from urllib.request import urlopen; urlopen({command[-1]!r}, timeout=4)"]
    if service.name == "s3":  # moto has a page of its own that says so
        port = int(command[-1].rpartition(":")[2].partition("/")[0])
        return lambda: _accepts(port)
    words = [_found(command[0]) or command[0], *command[1:]]
    return lambda: _ends_well(words, _bare() | places)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ends_well(command: list[str], environment: Mapping[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def _wait(service: Service, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        process = PROCESSES[service.name]
        said = (service.root / "log").read_text(errors="replace")[-3000:]
        assert process.poll() is None, f"{service.name} ended with {process.returncode}: {said}"
        assert time.monotonic() < deadline, f"{service.name} does not get healthy: {said}"
        time.sleep(0.2)


def _got(url: str, **headers: str) -> Any:
    return httpx2.get(url, headers=headers, timeout=20, trust_env=False)


def _answered(services: Mapping[str, Service]) -> Any:
    tokens = dict(pair.split(":") for pair in services["endpoint"].environment["DEMLOPMENT_ENDPOINT__TOKENS"].split(","))

    def ask(port: int, method: str, path: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"http://endpoint:{port}{path}"
        return httpx2.request(method, url, headers=headers, content=digit(7), timeout=20, trust_env=False).status_code

    return {
        "predicted": ask(8080, "POST", "/predictions/digits", tokens["inference"]),
        "without a token": ask(8080, "POST", "/predictions/digits", ""),
        "managed": ask(8081, "GET", "/models", tokens["management"]),
        "managed by who predicts": ask(8081, "GET", "/models", tokens["inference"]),
    }


def _watched(services: Mapping[str, Service]) -> Any:
    url = "http://prometheus:9090/api/v1"

    def scraped() -> bool:
        found = _got(f"{url}/query?query=up").json()["data"]["result"]
        return [each["metric"]["job"] for each in found if each["value"][1] == "1"] == ["demlopment"]

    _wait(services["prometheus"], scraped)
    groups = _got(f"{url}/rules").json()["data"]["groups"]
    return {
        "rules": sum(len(group["rules"]) for group in groups),
        "told": [each["url"] for each in _got(f"{url}/alertmanagers").json()["data"]["activeAlertmanagers"]],
    }


def _ingested(services: Mapping[str, Service]) -> Any:
    """Rows into the lake, as `docker compose run work data ingest` brings them there."""
    work = services["work"]
    work.lay()
    source = folder_of_pictures(work.root, 20)
    home = {"DEMLOPMENT_HOME": str(work.root / "var/lib/demlopment")}
    done = subprocess.run(
        [str(BESIDE / "demlopment"), "data", "ingest", "--from", str(source)],
        env=_bare() | OURS | home | work.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = _bucket(services["s3"]).list_objects_v2(Bucket="demlopment", Prefix="lake/examples/_delta_log/")
    return listed["KeyCount"] > 0


def _studied(services: Mapping[str, Service]) -> Any:
    """Where searches keep their trials: the driver, the name, the user and the password."""
    look = "import os; from optuna.storages import RDBStorage; RDBStorage(os.environ['DEMLOPMENT_TRAINING__STUDIES'])"
    done = subprocess.run(
        [sys.executable, "-c", look], env=_bare() | services["work"].environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return True


def _recorded(_: Mapping[str, Service]) -> Any:
    listed = httpx2.post(
        "http://mlflow:5000/api/2.0/mlflow/experiments/create", json={"name": "tried"}, timeout=60, trust_env=False
    )
    return listed.status_code


QUESTIONS: dict[str, Callable[[Mapping[str, Service]], Any]] = {
    "endpoint": _answered,
    "endpoint prometheus": _watched,
    "s3": _ingested,
    "postgres": _studied,
    "s3 postgres mlflow": _recorded,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
