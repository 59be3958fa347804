"""compose.yaml as a dictionary with its variables filled in, and what each service is started with. Starts nothing."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
VARIABLE = re.compile(r"\$\{(\w+):\?([^}]+)\}")  # the only form that the file has: without a value compose refuses it


def text() -> str:
    return FILE.read_text()


def variables() -> dict[str, str]:
    """Each variable that the file asks for, with what compose says where it is not set."""
    return dict(VARIABLE.findall(text()))


def loaded(values: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables, as compose reads it. Raises KeyError for one that has no value."""
    filled: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda found: values[found[1]], text()).replace("$$", "$"))
    return filled


@dataclass(frozen=True)
class Service:
    """One service, with the paths of its container below a folder of ours in place of the container's root."""

    name: str
    settings: Mapping[str, Any]
    root: Path

    @property
    def command(self) -> list[str]:
        """What compose says, after the entry point that it gives."""
        return [self._moved(word) for word in (*self.settings.get("entrypoint", ()), *self.settings.get("command", ()))]

    @property
    def environment(self) -> dict[str, str]:
        return {name: self._moved(value) for name, value in self.settings.get("environment", {}).items()}

    @property
    def health(self) -> list[str]:
        """The command of its health check."""
        kind, *command = self.settings["healthcheck"]["test"]
        assert kind == "CMD", "a shell would be one more thing that an image must have"
        return [str(word) for word in command]

    @property
    def mounts(self) -> dict[str, str]:
        """What stands where in the container: a file of ours, or the name of a volume."""
        pairs = (each.split(":") for each in self.settings.get("volumes", ()))
        return {target: source for source, target, *_ in pairs}

    def lay(self) -> None:
        """Make the folders of its volumes, and copy the files that it mounts."""
        self.root.mkdir(parents=True)
        for target, source in self.mounts.items():
            place = self.root / target.lstrip("/")
            if not source.startswith("./"):
                place.mkdir(parents=True, exist_ok=True)
            elif (ROOT / source).is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / source, place)

    def _moved(self, word: str) -> str:
        for target in self.mounts:
            folder = target if self.mounts[target][0] != "." else str(Path(target).parent)
            word = re.sub(rf"(^|=){re.escape(folder)}(?=/|$)", rf"\g<1>{self.root}{folder}", word)
        return word
