"""Launchers of submitit that pack cells into jobs, and submit only what is missing.

Hydra makes a job of every cell, and submitit a process of every job, so that each cell would pay
for imports. Here a job runs `cells_per_job` cells one after the other, and a cell whose record is
there gets no job. The driver waits for all jobs, whatever becomes of some.
"""

import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import (
    BaseSubmititLauncher,
    LocalLauncher,
    SlurmLauncher,
)
from omegaconf import DictConfig, open_dict, read_write

from benchmark.cli.composing import use_instead
from benchmark.cli.job_facts import job_facts
from benchmark.signals import leave_if_signalled

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

# What submitit's executor is made with; everything else is set later.
OF_EXECUTOR = "max_num_timeout"
# How often the driver looks which jobs have ended.
POLL_SECONDS = 2
log = logging.getLogger("benchmark")


class Packed(BaseSubmititLauncher):
    """What both launchers do."""

    composes_first = True

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit the cells that are missing; wait for all jobs, and note those that were killed."""
        assert self.config is not None
        all_typed = enumerate(job_overrides, initial_job_idx)
        cells = [self._cell(number, list(typed)) for number, typed in all_typed]
        missing = [cell for cell in cells if _is_missing(cell)]
        # A number of cells that no job can have is refused with every cell.
        if missing:
            n = self.config.cells_per_job
            packs = [missing[start : start + n] for start in range(0, len(missing), n)]
            numbers = [[cell.hydra.job.num for cell in pack] for pack in packs]
            given = [(p, "hydra.sweep.dir", n[0]) for p, n in zip(packs, numbers, strict=True)]
            state = Singleton.get_state()
            jobs = self._executor().map_array(
                self, *zip(*((*job, f"job_id_for_{job[2]}", state) for job in given), strict=True)
            )
            _wait_for(jobs, numbers)
        return []

    def __call__(
        self,
        sweep_overrides: list[DictConfig],
        job_dir_key: str,
        job_num: int,
        job_id: str,
        singleton_state: dict[type, Singleton],
    ) -> None:
        """Run the cells of a pack, in the process of a job; each notes what becomes of it."""
        import submitit

        assert self.hydra_context is not None and self.task_function is not None
        Singleton.set_state(singleton_state)
        setup_globals()
        for cell in sweep_overrides:
            with read_write(cell.hydra.job) as job:
                job.id = submitit.JobEnvironment().job_id
            run_job(
                hydra_context=self.hydra_context,
                task_function=self.task_function,
                config=cell,
                job_dir_key=job_dir_key,
                job_subdir_key="hydra.sweep.subdir",
            )

    def _cell(self, number: int, typed: list[str]) -> DictConfig:
        """The settings of a cell, put together here alone, with its number; jobs are given them."""
        assert self.config is not None and self.hydra_context is not None
        cell = self.hydra_context.config_loader.load_sweep_config(self.config, typed)
        cell.hydra.job.num = number
        return cell

    def _executor(self) -> "AutoExecutor":
        import submitit

        common = set(BaseQueueConf.__dataclass_fields__)
        named = {
            name if name in common else f"{self._EXECUTOR}_{name}": value
            for name, value in self.params.items()
            if name != "submitit_folder"
        }
        first = {name: named.pop(name) for name in [*named] if name.endswith(f"_{OF_EXECUTOR}")}
        folder = self.params["submitit_folder"]
        executor = submitit.AutoExecutor(folder=folder, cluster=self._EXECUTOR, **first)
        executor.update_parameters(**named)
        return executor


class PackedLocal(Packed, LocalLauncher):
    """Jobs as processes of this machine."""


class PackedSlurm(Packed, SlurmLauncher):
    """Jobs of an array of Slurm."""


def use_packing() -> None:
    """Let `hydra/launcher=submitit_slurm` and `submitit_local` pack."""
    use_instead({LocalLauncher: PackedLocal, SlurmLauncher: PackedSlurm})


def _is_missing(cell: DictConfig) -> bool:
    """Whether a cell is to be run; it is noted as waiting, or as what it is."""
    from benchmark.run.grid.jobs import queue_job

    HydraConfig.instance().set_config(cell)
    number, changes = job_facts()
    own = deepcopy(cell)
    with open_dict(own):
        del own["hydra"]
    return queue_job(own, number, changes)


def _wait_for(jobs: "Sequence[Job[Any]]", numbers: list[list[int]]) -> None:
    """Wait until every job has ended, however it does; note the cells of lost ones."""
    from submitit.helpers import as_completed

    from benchmark.run.grid.waiting import end_waiting

    cells_of = {job.job_id: pack for job, pack in zip(jobs, numbers, strict=True)}
    for job in as_completed(jobs, poll_frequency=POLL_SECONDS):
        try:
            job.results()
        except Exception as error:  # whatever a job may end with
            leave_if_signalled()
            lines = str(error).splitlines() or [type(error).__name__]
            # Of a lost job the first line names a file; the one with its state says what happened.
            reason = next((line for line in lines if "(state: " in line), lines[0])
            log.warning("job %s: %s", job.job_id, reason)
        for number in cells_of[job.job_id]:
            end_waiting(number)
