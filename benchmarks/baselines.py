"""Monitors as they are usually demonstrated, to compare ours with. Knows no network and no stream."""

import numpy as np
import numpy.typing as npt


def stability(reference: npt.NDArray[np.int64], windows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The population stability index of each window, in nats: (m,) and (windows, n) bins from 0 on -> (windows,).

    Half an example is added to every bin, so that an empty one is dear and not infinite.

    >>> stability(np.array([0] * 50 + [1] * 50), np.array([[0] * 50 + [1] * 50])).round(6).tolist()
    [0.0]
    """
    bins = int(max(reference.max(), windows.max())) + 1
    old = np.bincount(reference, minlength=bins) + 0.5
    new = np.stack([np.bincount(each, minlength=bins) for each in windows]) + 0.5
    was, now = old / old.sum(), new / new.sum(axis=1, keepdims=True)
    return np.asarray(((now - was) * np.log(now / was)).sum(axis=1), np.float64)
