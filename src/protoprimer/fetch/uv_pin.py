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


_DIGITS_OF_SHA256 = 64


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
        ranked = []
        for filename in self.wheels:
            for tag in tags_of_wheel(filename):
                rank = tag_rank(tag, host)
                if rank >= 0:
                    ranked.append((rank, filename))
        if not ranked:
            return None
        _, best = max(ranked)
        return best


def read_uv_pin(config: Configuration, settings: IndexSettings) -> UvPin:
    """Return this repository's pin; a `ConfigurationError` if its parts are wrong or contradict each other."""
    ours = UvPin(pinned_wheels("uv"), _range_of_settings(settings))
    pinned = (config.get("tools") or {}).get("uv")
    if pinned is None:
        return ours
    version = pinned["version"]
    place = config.place_of("tools", "uv", "version")
    try:
        Version(version)
    except InvalidVersion as error:
        raise ConfigurationError(str(error), place) from None
    contradicted = ours.misfit(version)
    if contradicted is not None:
        raise ConfigurationError("uv %s %s" % (version, contradicted), place, "let both say the same")
    wheels = {}
    for name, text in pinned["hashes"].items():
        wheels[name] = _checked_hash(config, name, version, text)
    return UvPin(wheels, ours.allowed + [(SpecifierSet("==" + version), place)])


def _range_of_settings(settings: IndexSettings) -> "list[tuple[SpecifierSet, str]]":
    """Return the range that uv's own settings ask for, with who says so; none if they do not."""
    required = settings.one("required-version")
    if not required:
        return []
    place = settings.place_of("required-version", required) + " (required-version)"
    # uv takes a mere version for that very one.
    is_mere_version = required[0].isdigit()
    text = "==" + required if is_mere_version else required
    try:
        return [(SpecifierSet(text), place)]
    except InvalidSpecifier as error:
        raise ConfigurationError(str(error), place) from None


def _checked_hash(config: Configuration, filename: str, version: str, text: str) -> str:
    place = config.place_of("tools", "uv", "hashes", filename)
    if filename.split("-")[:2] != ["uv", version] or not filename.endswith(".whl"):
        advice = "name it as the index does, such as uv-%s-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        raise ConfigurationError("%r is not a wheel of uv %s" % (filename, version), place, advice % version)
    if not re.match(r"(sha256:)?[0-9a-f]{64}\Z", text):
        raise ConfigurationError("%r is not a sha256" % text, place, "write its 64 hexadecimal digits")
    return text[-_DIGITS_OF_SHA256:]
