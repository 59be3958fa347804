"""Python handlers of foreign archives, each version in worker processes of its own. Knows no HTTP library.

The supervisor holds a `hall.Hall` with one pool a version; each serving process reaches it through a `desk.Desk`.
This file imports nothing, because every worker loads it.
"""
