"""Where a run of TorchServe keeps its files: below the home, but for what needs a short path. Knows no process."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demlopment import home as homes
from demlopment.errors import HomeError
from demlopment.home import Home

FOLDER = "torchserve"  # in the endpoint's folder of a home
SOCKET_BYTES = 107  # of a path, as Linux has it: a home may lie deeper
SOCKET = ".ts.sock.99999"  # what TorchServe calls those of its workers, at the longest
PREFIX = "demlopment-"  # of a folder for temporary files


@dataclass(frozen=True)
class Places:
    """What a run leaves."""

    root: Path

    @classmethod
    def of(cls, home: Home) -> "Places":
        return cls((home.endpoint / FOLDER).absolute())

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def output(self) -> Path:
        """What Java prints before there is a log."""
        return self.root / "output.log"

    @property
    def properties(self) -> Path:
        return self.root / "config.properties"

    @property
    def scratch(self) -> Path:
        """Unpacked archives and the workers' sockets: a folder for temporary files, which a link in the home names."""
        return self._link.readlink()

    @property
    def _link(self) -> Path:
        return self.root / "tmp"

    @property
    def snapshots(self) -> Path:
        """What TorchServe writes of its models."""
        return self.logs / "config"

    @property
    def remedy(self) -> str:
        return f"Its log is {self.logs / 'ts_log.log'}."

    def prepare(self) -> None:
        """The folders of a run; what a killed one has unpacked is removed."""
        self.clear()
        with homes.explained(self.root):
            self.logs.mkdir(parents=True, exist_ok=True)
            self._link.symlink_to(tempfile.mkdtemp(prefix=PREFIX))
        if len(os.fsencode(self.scratch / SOCKET)) > SOCKET_BYTES:
            raise HomeError(
                f"{self.scratch} is too long a path: the sockets of TorchServe's workers may have {SOCKET_BYTES} bytes.",
                "Set TMPDIR to a folder that is less deep.",
            )

    def clear(self) -> None:
        """Remove what was only for the run."""
        if self._link.is_symlink():
            if self.scratch.name.startswith(PREFIX):
                shutil.rmtree(self.scratch, ignore_errors=True)
            self._link.unlink()
