"""What a process keeps of the memory that it has used. Knows the C library; knows nothing of requests."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT_BYTES = 64 << 20  # free memory above which some goes back; a process that has never used as much is no larger for it
LARGE_BYTES = 32 << 20  # from here on, a buffer has pages of its own and gives them back at once; glibc allows no more


def keep() -> None:
    """Reuse pages for the bodies of the next requests. By itself, glibc gives 2 MB back and has them cleared again at once.

    At bodies of 1 MB that is a fifth of a request. Another C library decides for itself.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
