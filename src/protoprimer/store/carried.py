"""What `import protoprimer` finds in an environment: our package, another of that name, or what we have put there.

Ours is told by a mark that is read as text, before anything of the package runs: the public index has a package of the
same name by others, which is left alone and never handed control.
"""

import os
import subprocess

from protoprimer.backends.installed import metadata_directories
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, write_atomically
from protoprimer.system.paths import environment_python
from protoprimer.template_text import template
from protoprimer.version import PROTOPRIMER_MARK

__all__ = ["carry_module", "has_our_mark", "installed_package"]

_NAME = "protoprimer"
# Finds a package without running it; an editable one is found by what its installer has put into the environment.
_FIND = "import importlib.util as u; s = u.find_spec('protoprimer'); print((s and s.origin) or '')"


def carry_module(environment: str, kernel_path: str, console: Console) -> None:
    """Put a module `protoprimer` that loads the kernel into a new environment, unless a package of that name is there.

    :param kernel_path: the kernel file, absolute
    :raises OSError: it cannot be written
    """
    package = installed_package(environment)
    if package is not None:
        if not has_our_mark(package):
            console.warn("the package protoprimer of this environment is not ours: it is left alone (%s)" % package)
        return
    for packages in _package_directories(environment):
        directory = os.path.join(packages, _NAME)
        os.makedirs(directory, exist_ok=True)
        program = template("module.py").replace('KERNEL = "proto_kernel.py"', "KERNEL = " + ascii(kernel_path))
        for name, text in (("__init__.py", program), ("__init__.pyi", template("module.pyi")), ("py.typed", "")):
            write_atomically(os.path.join(directory, name), text.encode("utf-8"), durable=False)


def installed_package(environment: str) -> "str | None":
    """Return the directory of the package `protoprimer` that was installed into an environment, by whomever."""
    lists_it = any(name.startswith(_NAME + "-") for name in metadata_directories(environment))
    if not (lists_it or any(os.path.lexists(os.path.join(one, _NAME)) for one in _package_directories(environment))):
        return None
    command = [environment_python(environment), "-I", "-c", _FIND]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    origin = os.fsdecode(found.stdout).strip()
    return os.path.dirname(origin) if origin else os.path.join(environment, _NAME)


def has_our_mark(package: str) -> bool:
    """Tell whether the package in this directory is ours."""
    line = 'PROTOPRIMER_MARK = "%s"' % PROTOPRIMER_MARK
    return line.encode("ascii") in content_of(os.path.join(package, "version.py")).splitlines()


def _package_directories(environment: str) -> "list[str]":
    library = os.path.join(environment, "lib")
    inner = [os.path.join(library, name) for name in sorted(os.listdir(library))] if os.path.isdir(library) else []
    packages = [os.path.join(directory, "site-packages") for directory in [library] + inner]
    return [directory for directory in packages if os.path.isdir(directory) and not os.path.islink(directory)]
