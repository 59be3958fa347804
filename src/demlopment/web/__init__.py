"""Pages for people: the report of a turn. Composes what other rooms recorded and decides nothing."""

from demlopment.web.report import picture, render, write

__all__ = ["picture", "render", "write"]
