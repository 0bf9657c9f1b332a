"""The verb `export`: a circuit of a record in the form of another tool."""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmark.errors import UserError, near
from benchmark.export.circuit import NamedCircuit, circuit_of
from benchmark.files import file_stem, replacing
from benchmark.records.record import Record
from benchmark.records.store import Folder, folders


class Form(Enum):
    """Forms of circuits."""

    neuronpedia = "neuronpedia"
    graphml = "graphml"
    dot = "dot"


ENDINGS = {Form.neuronpedia: "json", Form.graphml: "graphml", Form.dot: "dot"}


@dataclass(frozen=True)
class Export:
    """Settings of `ablation-bench export`; see conf/export.yaml."""

    key: str
    format: Form
    size: int | None
    results_dir: str
    directory: str

    def run(self) -> str:
        """Write the file; return where it is.

        Raises:
            UserError: there is no such record, it has no such circuit, or the file cannot be
                written.
        """
        folder = self._folder()
        record = folder.read()
        circuit = circuit_of(record, folder.path, self.size)
        ending = ENDINGS[self.format]
        words = [record.names["task"], record.names["method"], record.key, str(len(circuit.edges))]
        path = Path(self.directory) / f"{file_stem(*words)}.{ending}"
        text = self._text(record, circuit, path.stem)
        try:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        return f"written: {path} ({len(circuit.edges)} edges)"

    def _folder(self) -> Folder:
        known = [found.key for found in folders(Path(self.results_dir))]
        if self.key not in known:
            raise UserError(
                f"{self.key} is not a record of results_dir={self.results_dir}"
                f"{near(self.key, known)}"
            )
        return Folder(Path(self.results_dir), self.key)

    def _text(self, record: Record, circuit: NamedCircuit, stem: str) -> str:
        facts = {
            "title": "{task}, {model}: {method} under {ablation} ablation".format(**record.names),
            "model": record.names["model"],
            "key": record.key,
            "created": record.created,
            "version": str(record.versions["ablation-bench"]),
        }
        if self.format is Form.neuronpedia:
            from benchmark.export.neuronpedia import attribution_graph

            shown_with = _shown_with(record)
            slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
            return attribution_graph(circuit, {**facts, "slug": slug}, *shown_with)
        from benchmark.export import networks

        return (networks.dot if self.format is Form.dot else networks.graphml)(circuit, facts)


def _shown_with(record: Record) -> tuple[str, list[str], dict[str, list[str]]]:
    """The first test prompt, its tokens, and the roles of a known circuit."""
    from benchmark.prompts.dataset import batch_of
    from benchmark.prompts.task import Split
    from benchmark.references.circuits import reference_circuits
    from benchmark.run.recorded import cell_of
    from benchmark.seeds import derived_seed

    cell = cell_of(record)
    model = cell.model_choice.load()
    seed = derived_seed(cell.seed, "prompts")
    rows = cell.built_task.dataset(
        model.tokenizer, Split.test, max(1, cell.n_test), seed, or_fewer=True
    )
    batch = batch_of(rows)
    ids = batch.clean[0, : int(batch.lengths[0])].tolist()
    tokens = [model.tokenizer.decode([token]) for token in ids]
    known = reference_circuits(record.family, model).values()
    groups = next((found.facts["groups"] for found in known if "groups" in found.facts), {})
    return rows[0]["clean"], tokens, groups
