"""What one connection may cost, and how many there may be. Knows the settings' names; knows no socket."""

from dataclasses import dataclass

from demlopment.serving.launch import Launch


@dataclass(frozen=True)
class Limits:
    """As the settings of the same names; the defaults suit a port that only this machine reaches."""

    header_bytes: int = 65_536
    header_seconds: float = 10.0  # from a request's first byte to the end of its headers
    body_seconds: float = 60.0  # from there to the end of its body
    connections: int = 1024  # that are open at once; more wait in the kernel's queue
    finish_seconds: float = 120.0  # for what is in hand when the server stops
    held_bytes: float = 256e6  # of request bodies at once, on all connections
    evict_seconds: float = 1.0  # idle for so long, a connection makes room for a new one: one in use is quicker than this
    idle_seconds: float = 75.0  # longer than the pools of usual clients keep an idle connection, so that they close first

    @classmethod
    def of(cls, launch: Launch) -> "Limits":
        """What `launch` says for each of the three ports."""
        return cls(
            launch.max_header_bytes,
            launch.header_seconds,
            launch.body_seconds,
            launch.max_connections,
            launch.unregister_timeout,
            launch.max_held_mb * 1e6,
        )


@dataclass
class Budget:
    """Bytes of bodies that the connections of one server hold, until their requests are answered."""

    limit: float = Limits.held_bytes
    held: int = 0
