"""What a module of a command adds itself to."""

import argparse
from collections.abc import Sequence
from typing import Protocol


class Commands(Protocol):
    """The commands of ``din``, as :meth:`argparse.ArgumentParser.add_subparsers` returns them."""

    def add_parser(
        self,
        name: str,
        *,
        aliases: Sequence[str] = (),
        help: str | None = None,  # noqa: A002  (argparse's name)
        description: str | None = None,
    ) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        ...
