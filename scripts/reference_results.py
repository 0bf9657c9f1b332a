"""Make the records that ship, benchmark/reference_results/, from the commands of the claims.

    python scripts/reference_results.py                # all, cheapest first; what is there is kept
    python scripts/reference_results.py --minutes 10   # of commands that take at most as long
    python scripts/reference_results.py --pack DIR     # ship the finished records of another folder

Commands are those of conf/claims/*.yaml. They run in a folder of their own, so a killed one goes on
where it was; finished records are shipped without their logs and without what names this machine.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benchmark.errors import UserError
from benchmark.records.record import CONFIG, RECORD, Record, Status
from benchmark.records.store import Folder, folders
from benchmark.report.claims.claim import claims
from benchmark.report.reference import REFERENCE

COMMAND = str(Path(sys.executable).with_name("ablation-bench"))
# All records that ship, in megabytes.
MOST = 15


def main() -> int:
    """Run what is missing and ship it; return 1 if a command failed or it is too much to ship."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--results", type=Path, default=Path("results/reference"))
    parser.add_argument("--pack", type=Path)
    given = parser.parse_args()
    failed = 0
    if given.pack is None:
        for run in commands(given.minutes):
            print(f"ablation-bench run {run}", flush=True)
            typed = [COMMAND, "run", *run.split(" "), f"results_dir={given.results}"]
            failed += subprocess.run([*typed, "report=false"], check=False).returncode != 0
            pack(given.results)
    else:
        pack(given.pack)
    megabytes = sum(path.stat().st_size for path in REFERENCE.rglob("*") if path.is_file()) / 1e6
    print(f"{len(folders(REFERENCE))} records, {megabytes:.1f} MB in {REFERENCE}")
    return int(failed > 0 or megabytes > MOST)


def commands(most_minutes: float) -> list[str]:
    """What claims ask to run, once each, cheapest first."""
    chosen = (one for one in claims().values() if one.minutes <= most_minutes)
    return list(dict.fromkeys(f"{one.run} model={','.join(one.models)}" for one in chosen))


def pack(results: Path) -> None:
    """Ship every finished record of a folder that is whole and not there, or later than there."""
    for folder in folders(results):
        try:
            record = folder.read()
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        there = Folder(REFERENCE, folder.key).record()
        if record.status is Status.done and (there is None or there.created < record.created):
            ship(folder, record)


def ship(folder: Folder, record: Record) -> None:
    """Copy a record and the files that it needs, with nothing of this machine in it."""
    place = REFERENCE / record.key
    place.mkdir(parents=True, exist_ok=True)
    files = {name: digest for name, digest in record.files.items() if name != CONFIG}
    for name in files:
        shutil.copyfile(folder.path / name, place / name)
    model = record.model | {"source": record.model["name"]} if record.model.get("files") else None
    machine = {name: value for name, value in record.machine.items() if name != "host"}
    config = record.config | {"results_dir": "results"}
    replace(record, files=files, model=model or record.model, machine=machine, config=config).write(
        place / RECORD
    )


if __name__ == "__main__":
    sys.exit(main())
