"""The method that another one works with: an option of conf/method with some settings changed."""

from typing import Any

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.method.circuits import CircuitMethod
from benchmark.method.study import Study


def other_method(base: str, settings: dict[str, Any]) -> CircuitMethod:
    """The method of this name.

    Raises:
        UserError: there is none, a setting is not its own, or it finds no circuits.
    """
    method = configured("method", base, **settings)
    if isinstance(method, Study):
        raise UserError(f"method.base={base} finds no circuits; type method.base=eap")
    return method
