"""What the monitors of one version are shown: its stretch of production, with the labels that came. Knows no table."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demlopment.monitoring.stretch import Stretch

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All answers since some time, in order of time, (n,) each."""

    stretch: Stretch
    right: Values  # 1 or 0 where the version that is monitored was told the truth, else NaN
    heard: Values  # seconds since 1970, when; infinite where it was not
    fresh: int = 0  # index of the first answer that no look has tested yet
    repeated: int = 0  # rows that stood twice in the journal, and are left out
    stray: int = 0  # labels whose request is not known, or not yet
    otherwise: int = 0  # answers of versions that read other columns, and are left out
    ahead: int = 0  # the last answers, which are dated later than now, because a clock is wrong: no window has them yet

    def __len__(self) -> int:
        return len(self.stretch)
