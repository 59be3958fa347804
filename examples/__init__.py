"""Problems other than digits, worked from start to finish on the same frame."""
