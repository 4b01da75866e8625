"""Which uv a repository is pinned to: `[tool.uv] required-version`, and the key `tools`, with hashes."""

import re
from typing import NamedTuple

from protoprimer.errors import ConfigurationError
from protoprimer.fetch.pins import pinned_wheels
from protoprimer.fetch.platform_tags import tag_rank, tags_of_wheel
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet, Version
from protoprimer.settings.configuration import Configuration
from protoprimer.settings.index_settings import IndexSettings

__all__ = ["UvPin", "read_uv_pin"]


class UvPin(NamedTuple):
    """The wheels that uv is fetched as (file name -> sha256), and the ranges of its version, with who says so."""

    wheels: "dict[str, str]"
    allowed: "list[tuple[SpecifierSet, str]]"

    def misfit(self, version: str) -> "str | None":
        """Return why this version does not serve, or `None`."""
        for specifiers, place in self.allowed:
            if not specifiers.contains(version):
                return "is not %s, as %s asks" % (specifiers, place)
        return None

    def wheel_for(self, host: str) -> "str | None":
        """Return the file name of the wheel that runs on a host, which its platform tag stands for."""
        ranked = [(tag_rank(tag, host), filename) for filename in self.wheels for tag in tags_of_wheel(filename)]
        rank, best = max(ranked, default=(-1, ""))
        return best if rank >= 0 else None


def read_uv_pin(config: Configuration, settings: IndexSettings) -> UvPin:
    """Return this repository's pin; a `ConfigurationError` if its parts are wrong or contradict each other."""
    pin, required = UvPin(pinned_wheels("uv"), []), settings.one("required-version")
    if required:
        place = settings.place_of("required-version", required) + " (required-version)"
        try:
            pin.allowed.append((SpecifierSet("==" * required[:1].isdigit() + required), place))
        except InvalidSpecifier as error:
            raise ConfigurationError(str(error), place) from None
    pinned = (config.get("tools") or {}).get("uv")
    if pinned is None:
        return pin
    version, place = pinned["version"], config.place_of("tools", "uv", "version")
    try:
        Version(version)
    except InvalidVersion as error:
        raise ConfigurationError(str(error), place) from None
    contradicted = pin.misfit(version)
    if contradicted:
        raise ConfigurationError("uv %s %s" % (version, contradicted), place, "let both say the same")
    wheels = {name: _checked_hash(config, name, version, text) for name, text in pinned["hashes"].items()}
    return UvPin(wheels, pin.allowed + [(SpecifierSet("==" + version), place)])


def _checked_hash(config: Configuration, filename: str, version: str, text: str) -> str:
    place = config.place_of("tools", "uv", "hashes", filename)
    if filename.split("-")[:2] != ["uv", version] or not filename.endswith(".whl"):
        advice = "name it as the index does, such as uv-%s-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        raise ConfigurationError("%r is not a wheel of uv %s" % (filename, version), place, advice % version)
    if not re.match(r"(sha256:)?[0-9a-f]{64}\Z", text):
        raise ConfigurationError("%r is not a sha256" % text, place, "write its 64 hexadecimal digits")
    return text[-64:]
