"""The command line, run in a child of this process."""

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from hydra.core.plugins import Plugins

from benchmark.cli.main import main

# What commands import only when they need it, and Hydra's search for its plug-ins.
IMPORTED = (
    "benchmark.run.runner", "benchmark.cli.ablations", "benchmark.cli.lists.task_example",
    "benchmark.report.figures", "benchmark.report.leaderboard", "datasets",
)  # fmt: skip


def run_in_fork(
    *arguments: str, cwd: Path | None = None, command: Callable[[], None] = main
) -> subprocess.CompletedProcess[str]:
    """The command line in a child of this process, which has imported everything already.

    For the many mistakes that end early: a process of their own takes seconds to import torch.
    `command` is called instead of the command line, if given.
    """
    for module in IMPORTED:
        import_module(module)
    Plugins.instance()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _become_command(arguments, out.fileno(), err.fileno(), cwd, command)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *texts)


def _become_command(
    arguments: tuple[str, ...], out: int, err: int, cwd: Path | None, command: Callable[[], None]
) -> None:
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", closefd=False) for fd in (1, 2))
        os.chdir(cwd or ".")
        sys.argv = ["ablation-bench", *arguments]
        command()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
