"""Where a run of TorchServe keeps its files, below the home. Knows no process."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from demlopment import home as homes
from demlopment.errors import HomeError
from demlopment.home import Home

FOLDER = "torchserve"  # in the endpoint's folder of a home
SOCKET_BYTES = 107  # of a path, as Linux has it
SOCKET = ".ts.sock.99999"  # what TorchServe calls those of its workers, at the longest


@dataclass(frozen=True)
class Places:
    """What a run leaves, below the home."""

    root: Path
    scratch: Path  # unpacked archives and the workers' sockets
    logs: Path
    output: Path  # what Java prints before there is a log
    properties: Path

    @classmethod
    def of(cls, home: Home) -> "Places":
        root = (home.endpoint / FOLDER).absolute()
        return cls(root, root / "tmp", root / "logs", root / "output.log", root / "config.properties")

    @property
    def snapshots(self) -> Path:
        """What TorchServe writes of its models."""
        return self.logs / "config"

    @property
    def remedy(self) -> str:
        return f"Its log is {self.logs / 'ts_log.log'}."

    def prepare(self) -> None:
        """The folders of a run; what a killed one has unpacked is removed."""
        if len(os.fsencode(self.scratch / SOCKET)) > SOCKET_BYTES:
            raise HomeError(
                f"{self.root} is too long a path: the sockets of TorchServe's workers may have {SOCKET_BYTES} bytes.",
                "Set DEMLOPMENT_HOME to a folder that is less deep.",
            )
        shutil.rmtree(self.scratch, ignore_errors=True)
        with homes.explained(self.root):
            for folder in (self.scratch, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
