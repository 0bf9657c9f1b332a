"""A lens from a file: of this suite, a folder of the tuned-lens package, or a Jacobian-lens file.

So what was fitted elsewhere is judged on the same rows, beside the lenses that are fitted here.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from methods.lens.files import import_jacobian_lens, import_tuned_lens, load_lens
from methods.lens.fitted import FittedLens
from methods.lens.fitting.text import Given
from methods.lens.lens import Lens

OWN, JACOBIAN = ".safetensors", ".pt"
WHAT_TO_TYPE = (
    "type method.path=FILE.safetensors that save_lens wrote, method.path=FOLDER of the tuned-lens "
    "package, or method.path=FILE.pt of the Jacobian-lens package"
)


@dataclass(frozen=True)
class ImportedLens(Lens):
    """Settings of lenses from files; see conf/method/imported_lens.yaml."""

    path: str | None

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
        path = Path(self.path)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        try:
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
        path = Path(self.path)
        if path.is_dir():
            return import_tuned_lens(path, given.model)
        if path.suffix == OWN:
            return load_lens(path, given.model)
        if path.suffix == JACOBIAN:
            return import_jacobian_lens(path, given.model)
        raise UserError(f"method.path={self.path} is no lens; {WHAT_TO_TYPE}")
