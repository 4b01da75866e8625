"""A bundle that was brought to a host, verified before anything of it is used."""

import json
import os
import re

from protoprimer.errors import ConfigurationError, UsageError, first_of
from protoprimer.fetch.platform_tags import tag_of_host, tag_rank, tags_of_wheel
from protoprimer.fetch.wheels import ToolAbsent, sha256_of_file, unpack_wheels
from protoprimer.system.console import Console
from protoprimer.version import VERSION

__all__ = ["BUNDLE_ENDS", "BUNDLE_NOTE", "OpenedBundle", "named_bundle"]

BUNDLE_NOTE = "bundle.json"
BUNDLE_ENDS = (".zip", ".protoprimer-bundle")


class OpenedBundle:
    """A bundle whose every file is what its manifest says; one that is a file is unpacked into the cache.

    :param manifest_sha256: what the manifest's own hash has to be, where the user has given it
    :raises ConfigurationError: it is no bundle, or files are missing, damaged or unknown
    """

    def __init__(self, path: str, cache_directory: str, manifest_sha256: str = "") -> None:
        self.path = path
        self.directory = _unpacked_bundle(path, cache_directory) if os.path.isfile(path) else path
        try:
            with open(os.path.join(self.directory, BUNDLE_NOTE), encoding="utf-8") as stream:
                self.note = json.load(stream)
            self._files = {name: (facts["sha256"], facts["for"]) for name, facts in self.note["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._error("this is not a bundle that `./prime bundle` wrote", [str(error)]) from error
        found = sha256_of_file(os.path.join(self.directory, BUNDLE_NOTE))
        if manifest_sha256 and found != manifest_sha256:
            cause = "this is not the bundle that was named: its %s has another sha256" % BUNDLE_NOTE
            raise self._error(cause, ["found: " + found, "named: " + manifest_sha256])
        # An installer would take what is unknown; what a file manager leaves has a dot.
        unknown = [one for one in os.listdir(self.directory) if one not in self._files and one[0] != "."]
        faults = ["%s: unknown to %s" % (name, BUNDLE_NOTE) for name in unknown if name != BUNDLE_NOTE]
        for name, (sha256, _) in self._files.items():
            found = sha256_of_file(os.path.join(self.directory, name))
            if found != sha256:
                how = "missing or unreadable" if found == "?" else "damaged: its sha256 is %s" % found
                faults.append("%s: %s" % (name, how))
        if faults:
            raise self._error("the bundle has changed since it was made", sorted(faults))

    def refuse_misfit(self, version: str, lock: "str | None", console: Console) -> None:
        """Refuse a bundle that does not serve this version of Python on this host; warn if it is of another lock."""
        python = ".".join(version.split(".")[:2])
        targets = {one for _, whom in self._files.values() for one in whom if one.split()[0] == python}
        unfit = {name: set(whom) & targets for name, (_, whom) in self._files.items() if not _runs(name, tag_of_host())}
        if not targets - set().union(*unfit.values()):
            names = sorted(name for name in unfit if unfit[name]) or sorted(self._files)
            cause = "the bundle does not serve Python %s on this host (%s)" % (python, tag_of_host())
            lines = ["%s: for Python %s" % (name, ", ".join(self._files[name][1])) for name in names]
            raise self._error(cause, lines, " --python %s --platform %s" % (python, tag_of_host()))
        if self.note.get("kernel") != VERSION or self.note.get("lock") != (sha256_of_file(lock) if lock else None):
            console.warn("the bundle was made for another lock or kernel: if it lacks something, make it anew")

    def _error(self, cause: str, lines: "list[str]", options: str = "") -> ConfigurationError:
        advice = "make it anew where there is a network (./prime bundle DIR%s), or name another by --bundle" % options
        return ConfigurationError("\n  ".join([cause] + first_of(lines, 20)), self.path, advice)


def named_bundle(text: str) -> "tuple[str, str]":
    """Return the path of a bundle, and what its manifest's sha256 has to be if that was given after `#sha256=`.

    :raises UsageError: exit code 2: what follows `#sha256=` is no hash; an empty one would verify nothing
    """
    path, mark, sha256 = text.partition("#sha256=")
    if mark and not re.match(r"[0-9a-fA-F]{64}\Z", sha256):
        cause = "what follows #sha256= is not a sha256: %r" % sha256
        advice = "give the hash that `./prime bundle` printed, or leave #sha256= out"
        raise UsageError(cause, "--bundle or PROTOPRIMER_BUNDLE", advice)
    return os.path.abspath(path), sha256.lower()


def _runs(filename: str, host: str) -> bool:
    tags = tags_of_wheel(filename)
    if not filename.endswith(".whl") or "any" in tags:
        return True
    # Of what was made for musl, only uv's own is linked statically.
    is_static = filename.startswith("uv-") or host.startswith("musl")
    return any(tag_rank(tag, host) >= 0 for tag in tags if is_static or not tag.startswith("musl"))


def _unpacked_bundle(path: str, cache_directory: str) -> str:
    directory = os.path.join(cache_directory, "bundles", sha256_of_file(path)[:16])
    try:
        # Nothing in it is compressed, so that it cannot be larger than it is.
        unpack_wheels([path], directory, most_bytes=os.path.getsize(path))
        os.utime(directory)
    except (OSError, ToolAbsent) as error:
        cause = "the bundle could not be unpacked into the cache: %s" % getattr(error, "cause", error)
        raise ConfigurationError(cause, path, "copy it anew, or free some disk space") from error
    return directory
