"""The images of the Dockerfile, built by buildah on a base made by debootstrap. Removed when the tests end."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VARIABLE = "TEST_IMAGE"  # asks for these tests; `make test-image` sets it
ENTER = Path(__file__).parent / "enter"
TOOLS = ("buildah", "debootstrap", "unshare", "setpriv", "ip")
BASE = "localhost/debootstrap"
PACKAGES = "python3,ca-certificates"
NEEDED_GB = 20  # of disk: five images, and the layers they were built in
HOME = "/var/lib/demlopment"


def missing() -> str:
    """What stands in the way of these tests, or nothing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install buildah debootstrap util-linux iproute2"
    return "" if os.geteuid() == 0 else "debootstrap and buildah's chroot need root"


@dataclass
class Workshop:
    """Where images are built: a store of its own below `folder`."""

    folder: Path
    driver: str = "overlay"
    built: dict[str, "Image"] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path) -> Iterator["Workshop"]:
        """A workshop with its base. Nothing of it is left, and nothing mounted."""
        free_gb = shutil.disk_usage(folder).free / 1e9
        assert free_gb > NEEDED_GB, f"{folder} has {free_gb:.0f} GB left, and these tests need {NEEDED_GB}: set TMPDIR"
        workshop = cls(folder)
        try:
            if subprocess.run(workshop.command("info"), capture_output=True, check=False).returncode:
                workshop.driver = "vfs"  # copies every layer; works on any file system
            workshop._lay_base()
            yield workshop
        finally:
            for ending in (("umount", "--all"), ("rm", "--all"), ("rmi", "--all", "--force")):
                subprocess.run(workshop.command(*ending), capture_output=True, check=False)
            layers = ["umount", "-R", str(folder / "store" / "overlay")]  # over itself, as often as buildah was called
            while subprocess.run(layers, capture_output=True, check=False).returncode == 0:
                pass
            shutil.rmtree(folder, ignore_errors=True)

    def command(self, *words: str) -> list[str]:
        """buildah, at work here."""
        places = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        return ["buildah", *places, "--storage-driver", self.driver, *words]

    def image(self, target: str) -> "Image":
        """The image of a target of the Dockerfile, built at the first call."""
        if target not in self.built:
            name = f"localhost/demlopment:{target}"
            layers = "--layers" if self.driver == "overlay" else "--layers=false"
            words = ["bud", "--isolation", "chroot", "--format", "docker", layers, "--target", target, "--tag", name]
            words += ["--build-arg", f"BASE={BASE}", "--build-arg", "REVISION=tested", *_pips_settings()]
            self.say(*words, str(ROOT))
            self.built[target] = self._mounted(name)
        return self.built[target]

    def base(self) -> Path:
        """The root of the base."""
        if BASE not in self.built:
            self.built[BASE] = self._mounted(BASE)
        return self.built[BASE].root

    def say(self, *words: str) -> str:
        """What buildah prints; what it complains of is an AssertionError."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def _mounted(self, name: str) -> "Image":
        config = json.loads(self.say("inspect", "--type", "image", name))["Docker"]["config"]
        container = self.say("from", "--pull-never", name).strip()
        return Image(Path(self.say("mount", container).strip()), config)

    def _lay_base(self) -> None:
        root = self.folder / "base"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        mirror = os.environ.get("DEBOOTSTRAP_MIRROR")
        done = subprocess.run([*command, mirror] if mirror else command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
        packed = self.folder / "base.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(packed), "."], check=True)
        shutil.rmtree(root)
        container = self.say("from", "scratch").strip()
        self.say("add", "--quiet", container, str(packed), "/")
        packed.unlink()
        self.say("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.say("commit", "--quiet", "--rm", container, BASE)


@dataclass(frozen=True)
class Image:
    """A built image: where its files are, and what it tells an engine."""

    root: Path
    config: Mapping[str, Any]

    def start(
        self, volume: Path, *words: str, network: str = "none", user: str = "", output: Any = subprocess.PIPE, **variables: str
    ) -> "subprocess.Popen[str]":
        """Start what an engine would: the entry point with `words`, or with the image's own."""
        command = [*self.config["Entrypoint"], *(words or self.config["Cmd"])]
        return self.execute(volume, command, network=network, user=user, output=output, **variables)

    def execute(
        self,
        volume: Path,
        command: Sequence[str],
        *,
        network: str = "none",
        user: str = "",
        output: Any = subprocess.PIPE,
        **variables: str,
    ) -> "subprocess.Popen[str]":
        """Start a command of the image, as its user, with its variables and nothing of ours."""
        assigned = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        place = [str(ENTER), str(self.root), str(volume), user or self.config["User"], network]
        words = [*place, "/usr/bin/env", "-i", "-C", self.config["WorkingDir"], *assigned, *command]
        return subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)

    def files(self) -> set[str]:
        return files(self.root)


def files(root: Path) -> set[str]:
    """The paths of every file and link below a root."""
    found: set[str] = set()
    for folder, _, names in os.walk(root):
        found.update(str((Path(folder) / name).relative_to(root)) for name in names)
    return found


def bytes_below(root: Path, paths: set[str]) -> int:
    """What those files take, each that has several names once."""
    told = {(found.st_dev, found.st_ino): found.st_size for path in paths if (found := (root / path).lstat())}
    return sum(told.values())


def _pips_settings() -> list[str]:
    """What makes pip find packages here, for a build: variables, and the places on this machine that they name."""
    words: list[str] = []
    for name, variable in (("index-url", "PIP_INDEX_URL"), ("find-links", "PIP_FIND_LINKS"), ("cert", "PIP_CERT")):
        asked = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
        value = os.environ.get(variable) or subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if not value:
            continue
        words += ["--build-arg", f"{variable}={value}"]
        for place in value.split():
            if Path(place).exists():
                folder = place if Path(place).is_dir() else str(Path(place).parent)
                words += ["--volume", f"{folder}:{folder}:ro"]
    return words
