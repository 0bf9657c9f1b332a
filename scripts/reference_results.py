"""Make the records that ship, benchmark/reference_results/: those of the claims and of the boards.

    python scripts/reference_results.py                # all, cheapest first; what is there is kept
    python scripts/reference_results.py --minutes 10   # of commands that take at most as long
    python scripts/reference_results.py --hours 1      # start nothing later, and end then
    python scripts/reference_results.py --pack DIR     # ship the finished records of another folder

They run in a folder of their own, which begins with what ships, so that days and machines may lie
between two runs. Finished records are shipped without their logs, without what names this machine,
and without the scores of large models.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmark.digests import digest_of_file
from benchmark.errors import UserError
from benchmark.graph.circuits_file import StoredCircuits
from benchmark.records.record import CIRCUITS_FILE, CONFIG, RECORD, SCORES, Record, Status
from benchmark.records.store import Folder, folders
from benchmark.report.claims.claim import claims
from benchmark.report.reference import REFERENCE

COMMAND = str(Path(sys.executable).with_name("ablation-bench"))
# All records that ship, and the scores of one, in megabytes.
MOST, MOST_OF_SCORES = 15, 0.1
# What the boards take beside the claims: minutes on one core, and the command.
CHEAP = "eap,relp,gim,hisp,clean_corrupted,activation_magnitude,information_flow_routes,random"
GRADIENTS = "eap_ig,eap_gp,eap_ig_activations,eap_ig_activations_own,edge_atp"
SEARCHES = "acdc,exact"
TRAINED = "edge_pruning,hap,ugs,hcgs,subnetwork_probing,subnetwork_probing_edges"
REAL, TOYS = "experiment=board_real", "experiment=board_toys"
RANDOM = f"{REAL} method=random method.circuits_per_size=2"
BOARDS = (
    (6.0, f"{REAL} method=eap ablation=counterfactual"),
    (6.1, f"{RANDOM} ablation=counterfactual"),
    (6.2, f"{REAL} method=eap_ig ablation=counterfactual"),
    (6.3, f"{REAL} method=eap ablation=mean"),
    (6.4, f"{RANDOM} ablation=mean"),
    (12.0, f"{REAL} method=relp,gim ablation=counterfactual"),
    (12.1, f"{REAL} method=activation_magnitude,information_flow_routes ablation=counterfactual"),
    (40.0, REAL),
    (10.0, f"{TOYS} ablation=counterfactual method={CHEAP}"),
    (11.0, f"{TOYS} ablation=counterfactual method={GRADIENTS}"),
    (60.0, f"experiment=acdc_roc method=eap,eap_ig,hisp,exact,random,acdc,{TRAINED}"),
    (60.1, f"{TOYS} ablation=counterfactual method={SEARCHES}"),
    (300.0, f"{TOYS} ablation=optimal method={CHEAP},{GRADIENTS}"),
    (600.0, f"{TOYS} ablation=counterfactual method={TRAINED}"),
    (1200.0, TOYS),
    (30.0, "experiment=acdc_roc model=reversal task=reversal"),
    (30.1, "experiment=acdc_roc model=fraction_of_x task=fraction_of_x"),
)


def main() -> int:
    """Run what is missing and ship it; return 1 if a command failed or it is too much to ship."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--hours", type=float, default=float("inf"))
    parser.add_argument("--results", type=Path, default=Path("results/reference"))
    parser.add_argument("--pack", type=Path)
    given = parser.parse_args()
    failed = 0
    if given.pack is None:
        unpack(given.results)
        deadline = time.monotonic() + 3600 * given.hours
        for run in commands(given.minutes):
            failed += not made(run, given.results, deadline)
            pack(given.results)
    else:
        pack(given.pack)
    megabytes = sum(path.stat().st_size for path in REFERENCE.rglob("*") if path.is_file()) / 1e6
    print(f"{len(folders(REFERENCE))} records, {megabytes:.1f} MB in {REFERENCE}")
    return int(failed > 0 or megabytes > MOST)


def commands(most_minutes: float) -> list[str]:
    """What claims and boards ask to run, once each, cheapest first."""
    of_claims = [
        (one.minutes, f"{one.run} model={','.join(one.models)}") for one in claims().values()
    ]
    ordered = sorted([*of_claims, *BOARDS], key=lambda item: item[0])
    return list(dict.fromkeys(run for minutes, run in ordered if minutes <= most_minutes))


def made(run: str, results: Path, deadline: float) -> bool:
    """Run a command, until a moment at the latest; whether it did not fail."""
    left = deadline - time.monotonic()
    if left <= 0:
        return True
    print(f"ablation-bench run {run}", flush=True)
    typed = [COMMAND, "run", *run.split(" "), f"results_dir={results}", "report=false"]
    running = subprocess.Popen(typed)
    try:
        return running.wait(None if left == float("inf") else left) == 0
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
        running.wait()
        return True


def unpack(results: Path) -> None:
    """Put what ships into the folder of the runs, so that nothing of it is run again."""
    for folder in folders(REFERENCE):
        if not (results / folder.key).exists():
            shutil.copytree(folder.path, results / folder.key)


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
    names = [name for name in record.files if name != CONFIG]
    if SCORES in names and (folder.path / SCORES).stat().st_size > 1e6 * MOST_OF_SCORES:
        names.remove(SCORES)
    for name in names:
        shutil.copyfile(folder.path / name, place / name)
    if CIRCUITS_FILE in names:
        # Of earlier code circuits were larger.
        StoredCircuits.read(folder.path / CIRCUITS_FILE).write(place / CIRCUITS_FILE)
    files = {name: digest_of_file(place / name) for name in names}
    model = record.model | {"source": record.model["name"]} if record.model.get("files") else None
    machine = {name: value for name, value in record.machine.items() if name != "host"}
    config = record.config | {"results_dir": "results"}
    replace(record, files=files, model=model or record.model, machine=machine, config=config).write(
        place / RECORD
    )


if __name__ == "__main__":
    sys.exit(main())
