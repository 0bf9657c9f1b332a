"""Letting Hydra take a model's directory or repository in place of an option: `model=DIRECTORY`."""

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from benchmark.config import PLACES_IN, is_place, option_text
from benchmark.errors import UserError

SCHEME = "place"


def take_places() -> str:
    """The entry of Hydra's search path that finds places, in every process of a command."""
    Plugins.instance().register(PlaceSource)
    return f"{SCHEME}://{PLACES_IN}"


class PlaceSource(ConfigSource):
    """Options that no file holds: Hydra asks here what it finds in no folder."""

    @staticmethod
    def scheme() -> str:
        """As the search path names it."""
        return SCHEME

    def available(self) -> bool:
        """It always is."""
        return True

    def is_group(self, config_path: str) -> bool:
        """It has no groups to list."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Whether `model/PLACE` is asked for."""
        group, _, place = config_path.partition("/")
        return group == PLACES_IN and is_place(place)

    def load_config(self, config_path: str) -> ConfigResult:
        """The settings of the place."""
        _, _, place = config_path.partition("/")
        try:
            config = OmegaConf.create(option_text(PLACES_IN, place))
        except UserError as error:
            raise ConfigLoadError(str(error)) from error
        return ConfigResult(self.provider, self.full_path(), config, {"package": None})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Nothing: places are not listed."""
        return []
