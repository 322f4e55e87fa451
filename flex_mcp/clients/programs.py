"""Where the programs of others are, on the PATH alone."""

import os
from collections.abc import Mapping
from pathlib import Path


def find(name: str, variables: Mapping[str, str]) -> str | None:
    """The absolute path of a program on the PATH; what lies in the current folder is none.

    `shutil.which` looks there first on Windows, and takes relative parts of a PATH anywhere: a
    project's own file of that name would be run.
    """
    endings = variables.get("PATHEXT", "").split(";")  # Windows has it; elsewhere there is none
    for folder in map(Path, variables.get("PATH", "").split(os.pathsep)):
        for file in (folder / (name + ending) for ending in endings):
            if folder.is_absolute() and file.is_file() and os.access(file, os.X_OK):
                return str(file)
    return None
