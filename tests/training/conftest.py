"""The digits and the network that these tests share."""

from tests.digits import digits, fitted, one_thread, train, unseen, validation

__all__ = ["digits", "fitted", "one_thread", "train", "unseen", "validation"]
