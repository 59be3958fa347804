"""The command `demlopment`, also as `python -m demlopment`: takes Ctrl-C while the command line is still being imported."""

import signal


def main() -> None:
    """Run the command line. Ctrl-C before it is there ends the process as it ends any other, without a traceback."""
    answered = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not if we were started to ignore it
    if answered:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from demlopment import cli

    if answered:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
