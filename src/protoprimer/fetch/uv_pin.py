"""Which uv a repository is pinned to: `[tool.uv] required-version`, and the key `tools`, with hashes."""

import os

from protoprimer.errors import ConfigurationError
from protoprimer.fetch.pins import UV_WHEELS
from protoprimer.formats.toml import load_toml, place_of_key
from protoprimer.formats.versions import InvalidSpecifier, InvalidVersion, SpecifierSet, Version
from protoprimer.settings.configuration import Configuration

__all__ = ["UvPin", "read_uv_pin"]


class UvPin:
    """Which versions of uv serve, and the wheels it is fetched as.

    :param wheels: file name -> sha256 (hex)
    :param allowed: what a version must meet, with the place that says so
    """

    def __init__(
        self, wheels: "dict[str, str] | None" = None, allowed: "list[tuple[SpecifierSet, str]] | None" = None
    ) -> None:
        self.wheels = UV_WHEELS if wheels is None else wheels
        self.allowed = allowed or []

    def misfit(self, version: str) -> "str | None":
        """Return why this version does not serve, or `None`."""
        for specifiers, place in self.allowed:
            if not specifiers.contains(version, prereleases=True):
                return "is not %s, as %s asks" % (specifiers, place)
        return None


def read_uv_pin(configuration: Configuration) -> UvPin:
    """Return the pin of this repository.

    :raises ConfigurationError: exit code 3: a version, range or hash is none, or the two contradict each other
    """
    wheels, allowed = None, _required_version(configuration.root)
    pinned = (configuration.get("tools") or {}).get("uv")
    if pinned is not None:
        version, place = pinned["version"], configuration.place_of("tools", "uv", "version")
        try:
            exactly = SpecifierSet("==" + str(Version(version)))
        except InvalidVersion as error:
            raise ConfigurationError(str(error), place) from None
        contradicted = UvPin({}, allowed).misfit(version)
        if contradicted:
            raise ConfigurationError("uv %s %s" % (version, contradicted), place, "let both say the same")
        allowed = allowed + [(exactly, place)]
        wheels = {name: _checked_hash(configuration, name, version, text) for name, text in pinned["hashes"].items()}
    return UvPin(wheels, allowed)


def _required_version(root: str) -> "list[tuple[SpecifierSet, str]]":
    # As for uv, `uv.toml` takes the place of `[tool.uv]`.
    for name, keys in (("uv.toml", ()), ("pyproject.toml", ("tool", "uv"))):
        path = os.path.join(root, name)
        table = load_toml(path) if os.path.isfile(path) else {}
        for key in keys:
            table = table.get(key, {}) if isinstance(table, dict) else {}
        required = table.get("required-version") if isinstance(table, dict) else None
        if required is not None:
            place = place_of_key(path, keys + ("required-version",))
            try:
                # A version alone is meant exactly.
                text = "==" + required if str(required)[:1].isdigit() else required
                return [(SpecifierSet(text), place)]
            except (InvalidSpecifier, AttributeError, TypeError):
                raise ConfigurationError("%r is no range of versions" % (required,), place) from None
        if table and name == "uv.toml":
            return []
    return []


def _checked_hash(configuration: Configuration, filename: str, version: str, text: str) -> str:
    place, digest = configuration.place_of("tools", "uv", "hashes", filename), text.partition(":")[2] or text
    if filename.split("-")[:2] != ["uv", version] or not filename.endswith(".whl"):
        advice = "name it as the index does, such as uv-%s-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        raise ConfigurationError("%r is no wheel of uv %s" % (filename, version), place, advice % version)
    if len(digest) != 64 or digest.strip("0123456789abcdef") or text[: -len(digest)] not in ("", "sha256:"):
        raise ConfigurationError("%r is no sha256" % text, place, "write its 64 hexadecimal digits")
    return digest
