"""ACDC's decisions in fewer passes.

Three things save work without changing a decision, unless a change differs from its threshold by
less than the rounding of a pass, which depends on what shares it. While the edges into a layer are
tested, all earlier layers are still whole, so a pass starts at that layer from one recorded run.
Thresholds whose decisions have been the same so far are one *branch*; a test that some of them pass
and some fail splits it. And candidates may be tested ahead of their turn: a branch guesses that the
next tests end as the last one did, runs them as masks of one pass, and checks the guesses in order;
behind the first wrong one the rest is tested anew. It guesses further ahead while it is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import masks_that_fit
from benchmark.forward.passes import clean_logits, masked_logits, masked_prefix
from benchmark.graph.graph import ComputationalGraph
from benchmark.meter import metering
from benchmark.method.problem import Problem
from benchmark.metric import Metric
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from methods.circuits.search.order import Phase, Test


class Loss:
    """The mean of a metric over all prompts (of minus it, if higher is better), for many masks."""

    def __init__(self, problem: Problem, metric: Metric, batch_size: int) -> None:
        self._model, self._metric = problem.model, metric
        model, whole = problem.model, problem.graph.exists.float()
        self._batches = [batch.to(model.device) for batch in problem.in_batches(batch_size)]
        self._values = [problem.replacement(batch) for batch in self._batches]
        with torch.no_grad():
            self._clean = [clean_logits(model, b.clean, b.read_at) for b in self._batches]
        pairs = zip(self._batches, self._values, strict=True)
        self._prefixes = [masked_prefix(model, whole, *pair) for pair in pairs]
        longest = max(batch.n_positions for batch in self._batches)
        most = max(map(len, self._batches))
        self.masks_at_once = masks_that_fit(model, most, longest, with_gradient=False)
        ids = [name for batch in self._batches for name in batch.ids]
        self.identity = [repr(problem.ablation), str(problem.seed), *ids]

    @torch.no_grad()
    def __call__(
        self, masks: Float[Tensor, "masks src dst"], start_layer: int
    ) -> Float[Tensor, " masks"]:
        """The loss of each mask; masks are whole before `start_layer`."""
        total = torch.zeros(len(masks), dtype=torch.float64)
        for batch, values, prefix, clean in zip(
            self._batches, self._values, self._prefixes, self._clean, strict=True
        ):
            logits = masked_logits(
                self._model,
                masks,
                batch,
                values,
                start_layer=start_layer,
                prefix=prefix if start_layer else None,
            )
            total += self._metric(logits, batch, clean).double().sum(-1).cpu()
        mean = total / sum(map(len, self._batches))
        return -mean if self._metric.higher_is_better else mean


@dataclass(frozen=True)
class Branch:
    """Thresholds that have decided alike so far.

    Attributes:
        thresholds: these thresholds.
        keep: the circuit.
        loss: its loss.
        done: tests of the phase that are behind it.
        removes: how the last test ended; the guess for the next ones.
        ahead: how many tests to run at once.
    """

    thresholds: tuple[float, ...]
    keep: Float[Tensor, "src dst"]
    loss: float
    done: int = 0
    removes: bool = True
    ahead: int = 1


class Search:
    """The circuits of a grid of thresholds.

    Attributes:
        tested: tests whose outcome counted, each once for all thresholds that share it.
        passes: masks that were run, thrown away guesses included.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        loss: Callable[[Tensor, int], Tensor],
        order: Sequence[Phase],
        thresholds: Sequence[float],
        *,
        absolute: bool,
        most_ahead: int,
        masks_at_once: int,
        identity: Sequence[str] = (),
    ) -> None:
        self._graph, self._loss, self._order, self._absolute = graph, loss, order, absolute
        self._masks_at_once, self._identity = masks_at_once, list(identity)
        self._most_ahead = min(most_ahead, masks_at_once)
        full = graph.exists.float()
        start = float(loss(full[None], 0))
        self._branches = [Branch(tuple(sorted(thresholds)), full, start)]
        self._finished_phases = 0
        self.tested = self.passes = 0

    def run(self, checkpoint: Path | None = None) -> dict[float, Float[Tensor, "src dst"]]:
        """Do all tests; return each threshold's kept edges.

        Args:
            checkpoint: a file to resume from and to save to after every phase.

        Raises:
            UserError: the checkpoint is of another search.
        """
        with metering() as spent:
            state = None if checkpoint is None else load_checkpoint(checkpoint, "cpu")
            if state is not None:
                if state.get("identity") != self._identity:
                    raise UserError(
                        f"{checkpoint} was made with other settings, prompts or ablation; give "
                        "another path"
                    )
                self._restore(state)
            for phase in self._order[self._finished_phases :]:
                self._branches = self._searched(phase)
                self._finished_phases += 1
                if checkpoint is not None:
                    save_checkpoint(checkpoint, self._state(), spent)
        return {tau: branch.keep for branch in self._branches for tau in branch.thresholds}

    def _searched(self, phase: Phase) -> list[Branch]:
        """All branches behind a phase, those that came apart in it included."""
        waiting = [
            self._without_unread(replace(branch, done=0), phase) for branch in self._branches
        ]
        finished: list[Branch] = []
        while waiting:
            plans = [self._ahead(branch, phase) for branch in waiting]
            finished += [b for b, plan in zip(waiting, plans, strict=True) if not plan]
            going = [(b, plan) for b, plan in zip(waiting, plans, strict=True) if plan]
            waiting = self._advanced(going, phase) if going else []
        return finished

    def _without_unread(self, branch: Branch, phase: Phase) -> Branch:
        """The branch without the edges into nodes of the phase that nothing reads."""
        keep = branch.keep.clone()
        for destination in {test.destination for test in phase.tests}:
            writer = self._graph.writer_of[destination]
            if writer is not None and not bool(keep[writer].any()):
                keep[:, destination] = 0
        return replace(branch, keep=keep)

    def _ahead(self, branch: Branch, phase: Phase) -> list[int]:
        """The next tests of a branch, as many as it dares, without those of edges long gone."""
        plan = []
        for index in range(branch.done, len(phase.tests)):
            test = phase.tests[index]
            if len(plan) == branch.ahead:
                break
            if bool(branch.keep[_of(test)].any()):
                plan.append(index)
        return plan

    def _advanced(self, going: list[tuple[Branch, list[int]]], phase: Phase) -> list[Branch]:
        """All branches after one round of tests."""
        masks = torch.cat([_candidates(branch, plan, phase) for branch, plan in going])
        parts = [self._loss(part, phase.layer) for part in masks.split(self._masks_at_once)]
        losses, self.passes = torch.cat(parts), self.passes + len(masks)
        after, first = [], 0
        for branch, plan in going:
            after += self._judged(branch, plan, losses[first : first + len(plan)], phase)
            first += len(plan)
        return after

    def _judged(
        self, branch: Branch, plan: list[int], losses: Float[Tensor, " tests"], phase: Phase
    ) -> list[Branch]:
        """What becomes of a branch: one, or several where its thresholds disagree."""
        apart: list[Branch] = []
        guess = branch.removes
        for index, loss in zip(plan, losses.tolist(), strict=True):
            test, change = phase.tests[index], loss - branch.loss
            if not bool(branch.keep[_of(test)].any()):
                continue
            self.tested += 1
            change = abs(change) if self._absolute else change
            removing = tuple(tau for tau in branch.thresholds if change < tau)
            keeping = tuple(tau for tau in branch.thresholds if tau not in removing)
            outcomes = {
                True: self._removed(branch, index, test, loss, removing) if removing else None,
                False: replace(branch, thresholds=keeping, done=index + 1, removes=False)
                if keeping
                else None,
            }
            other = outcomes[not guess]
            if other is not None:
                apart.append(replace(other, ahead=1))
            guessed = outcomes[guess]
            if guessed is None:
                return apart
            branch = guessed
        return [*apart, replace(branch, ahead=min(2 * branch.ahead, self._most_ahead))]

    def _removed(
        self, branch: Branch, index: int, test: Test, loss: float, thresholds: tuple[float, ...]
    ) -> Branch:
        keep = branch.keep.clone()
        keep[_of(test)] = 0
        done = index + 1
        return replace(branch, thresholds=thresholds, keep=keep, loss=loss, done=done, removes=True)

    def _state(self) -> dict[str, Any]:
        branches = [[list(b.thresholds), b.keep, b.loss] for b in self._branches]
        counts = [self._finished_phases, self.tested, self.passes]
        return {"branches": branches, "counts": counts, "identity": self._identity}

    def _restore(self, state: dict[str, Any]) -> None:
        self._branches = [Branch(tuple(t), keep, loss) for t, keep, loss in state["branches"]]
        self._finished_phases, self.tested, self.passes = state["counts"]


def _of(test: Test) -> tuple[list[int], int]:
    return list(test.sources), test.destination


def _candidates(branch: Branch, plan: list[int], phase: Phase) -> Float[Tensor, "tests src dst"]:
    """Masks without each test's edges; if removal is the guess, without the earlier ones' too."""
    keep, masks = branch.keep, []
    for index in plan:
        without = keep.clone()
        without[_of(phase.tests[index])] = 0
        masks.append(without)
        keep = without if branch.removes else keep
    return torch.stack(masks)
