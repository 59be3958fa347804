"""The endpoint: answers TorchServe's clients, splits traffic, and journals every answer before it leaves."""

from demlopment.serving.addresses import Addresses, running
from demlopment.serving.journal import join, read
from demlopment.serving.supervisor import serve
from demlopment.serving.traffic import assign

__all__ = ["Addresses", "assign", "join", "read", "running", "serve"]
