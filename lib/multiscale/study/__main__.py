"""The command ``multiscale``; ``python -m multiscale.study`` is the same."""

from multiscale.interruption import end_at_once


def main() -> None:
    """Do what the command line says."""
    end_at_once()
    from multiscale.study.cli import app

    app()


if __name__ == "__main__":
    main()
