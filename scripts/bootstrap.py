"""Create the environment in .venv and run one command of it. Needs only Python 3.11 to 3.13.

    python3 scripts/bootstrap.py                     create the environment, or renew it
    python3 scripts/bootstrap.py ablation-bench tasks       ... and run a command in it

Everything is installed by uv at the versions of constraints.txt; nothing happens if neither that
file nor pyproject.toml has changed since. On Linux, PyPI's torch brings its CUDA libraries; to
install a CPU build instead, have pip's --find-links (PIP_FIND_LINKS) name a folder that holds it.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PROGRAMS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
STAMP = ENVIRONMENT / "installed"
UV = "uv>=0.8,<1"


def wanted() -> str:
    """What the environment must have been made from."""
    files = (ROOT / name for name in ("pyproject.toml", "constraints.txt"))
    parts = [sys.version, str(ROOT), *(file.read_text() for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def install() -> None:
    """Create the environment afresh, unless it is up to date."""
    if STAMP.exists() and STAMP.read_text() == wanted():
        return
    print(f"installing into {ENVIRONMENT} (a minute or two)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    python = str(PROGRAMS / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", UV], check=True)
    # uv does not read pip's configuration; this is how it learns of local wheels.
    settings = dict(os.environ)
    if "PIP_FIND_LINKS" in settings:
        settings.setdefault("UV_FIND_LINKS", settings["PIP_FIND_LINKS"])
    command = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    # Where Python may not keep bytecode itself, each command would compile thousands of files.
    command += ["--compile-bytecode", "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[dev]"]
    subprocess.run(command, check=True, env=settings)
    STAMP.write_text(wanted())


def main() -> int:
    """Install, then run the command given."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = ".".join(map(str, sys.version_info[:2]))
        print(f"Python {found} cannot be used; run this with python3.11, 3.12 or 3.13")
        return 2
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"the installation failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    if not sys.argv[1:]:
        return 0
    program = PROGRAMS / sys.argv[1]
    if not program.exists():
        print(f"{sys.argv[1]!r} is not a command of {PROGRAMS}", file=sys.stderr)
        return 2
    return subprocess.run([program, *sys.argv[2:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
