"""A lens from a file: a record's, one of `save_lens`, of the tuned-lens or Jacobian-lens package.

So what was fitted elsewhere is judged on the same rows, beside the lenses that are fitted here.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from methods.lens.files import LENS, import_jacobian_lens, import_tuned_lens, load_lens
from methods.lens.fitted import FittedLens
from methods.lens.fitting.text import Given
from methods.lens.lens import Lens

OWN, JACOBIAN = ".safetensors", ".pt"
WHAT_TO_TYPE = (
    "type method.path=results/KEY of a lens's record, method.path=FILE.safetensors that save_lens "
    "wrote, method.path=FOLDER of the tuned-lens package, or method.path=FILE.pt of the "
    "Jacobian-lens package"
)


@dataclass(frozen=True)
class ImportedLens(Lens):
    """Settings of lenses from files; see conf/method/imported_lens.yaml."""

    path: str | None

    def __post_init__(self) -> None:
        """Check that a path is one."""
        super().__post_init__()
        if self.path == "":
            raise UserError(f"method.path is empty; {WHAT_TO_TYPE}")

    def unsupported(self, problem: Problem) -> str | None:
        """Without a file there is nothing to judge."""
        if self.path is None:
            return f"no file is named; {WHAT_TO_TYPE}"
        return super().unsupported(problem)

    def data_digest(self) -> str | None:
        """A digest of the contents of the files, or None where none is named.

        Raises:
            UserError: a file cannot be read.
        """
        if self.path is None:
            return None
        path = _own(Path(self.path))
        try:
            inside = sorted(path.iterdir()) if path.is_dir() else [path]
            files = [file for file in inside if not file.is_dir()]
            return digest([digest_of_file(file) for file in files])
        except OSError as error:
            raise UserError(f"method.path={self.path} cannot be read: {error}") from error

    def fitted(self, given: Given) -> FittedLens:
        """The lens of the file; nothing is fitted.

        Raises:
            UserError: it cannot be read, or is of another model.
        """
        if self.path is None or not isinstance(given.model, LanguageModel):
            raise UserError(f"no lens is read; {WHAT_TO_TYPE}, and load the model by load_model")
        lens = self._read(_own(Path(self.path)), given.model)
        if not all(bool(x.isfinite().all()) for x in lens.tensors().values()):
            raise UserError(f"method.path={self.path} has numbers that are not finite; fit it anew")
        return lens

    def _read(self, path: Path, model: LanguageModel) -> FittedLens:
        if path.is_dir():
            return import_tuned_lens(path, model)
        if path.suffix == OWN:
            return load_lens(path, model)
        if path.suffix == JACOBIAN:
            return import_jacobian_lens(path, model)
        raise UserError(f"method.path={self.path} is no lens; {WHAT_TO_TYPE}")


def _own(path: Path) -> Path:
    """The lens of a record, where the path is that of one."""
    return path / LENS if (path / LENS).exists() else path
