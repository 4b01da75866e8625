"""What each environment has from us."""

import os
import re
from shlex import quote

from protoprimer.backends.installed import metadata_directories, site_packages_directories
from protoprimer.settings.configuration import Configuration
from protoprimer.system.console import Console
from protoprimer.system.files import content_of, write_atomically
from protoprimer.system.paths import environment_python, scripts_directory, user_cache_directory
from protoprimer.system.platform import is_windows
from protoprimer.template_text import template
from protoprimer.version import MARK_LINE

__all__ = ["carry", "has_our_mark", "installed_package"]

_NAME = "protoprimer"
_PIP_PROGRAM = """\
#!/bin/sh
# Written by protoprimer: a verified pip for this environment, which has none of its own.
exec %s -I -c 'from protoprimer.primer_kernel import pip_main; pip_main()' "$@"
"""
_PIP_PROGRAM_OF_WINDOWS = '@"%s" -I -c "from protoprimer.primer_kernel import pip_main; pip_main()" %%*\r\n'
# Added to what users source, to go by the link.
_BY_LINK = {
    "activate": """
if [ @ -ef "$VIRTUAL_ENV" ]; then VIRTUAL_ENV=@ PATH=@/bin:${PATH#*:}; fi
""",
    "activate.fish": """
if contains (realpath $VIRTUAL_ENV) (realpath @ 2> /dev/null); set VIRTUAL_ENV @; set PATH[1] @/bin; end
""",
}
# Finds a package, also an editable one, without running it.
_FIND = "import importlib.util as u; s = u.find_spec('protoprimer'); print((s and s.origin) or '')"


def carry(environment: str, configuration: Configuration, console: Console) -> "list[str]":
    """Let `import protoprimer` load the kernel, and more; return the files that must stay."""
    link = configuration.text("venv-link")
    for name, text in _BY_LINK.items() if link and not is_windows() else ():
        path = os.path.join(scripts_directory(environment), name)
        content = content_of(path)
        if content:
            text = text.replace("@", quote(configuration.path_of(str(link))))
            write_atomically(path, content + os.fsencode(text), durable=False)
    package = installed_package(environment)
    if package is not None and not has_our_mark(package):
        console.warn("the package protoprimer of this environment is not ours: it is left alone (%s)" % package)
        return []
    carried = _carry_pip(environment)
    known = ascii((configuration.kernel_path, user_cache_directory()))
    program = template("module.py").replace('"proto_kernel.py", ""', known)
    for packages in site_packages_directories(environment) if package is None else ():
        directory = os.path.join(packages, _NAME)
        os.makedirs(directory, exist_ok=True)
        for name, text in (("__init__.py", program), ("__init__.pyi", template("module.pyi")), ("py.typed", "\n")):
            carried.append(os.path.join(directory, name))
            write_atomically(carried[-1], text.encode("utf-8"), durable=False)
    return carried


def _carry_pip(environment: str) -> "list[str]":
    # Else a shell would find the host's pip.
    scripts, python = scripts_directory(environment), environment_python(environment)
    names, written = os.listdir(scripts), []  # type: list[str], list[str]
    if any(name.startswith("pip") for name in names):
        return written
    program, ending = _PIP_PROGRAM % quote(python), ""
    if is_windows():
        program, ending = _PIP_PROGRAM_OF_WINDOWS % python, ".cmd"
    # Beside `python3.12`, somebody may type `pip3.12`.
    for found in filter(None, (re.match(r"python([0-9.]*?)(\.exe)?\Z", name) for name in names)):
        written.append(os.path.join(scripts, "pip" + found.group(1) + ending))
        write_atomically(written[-1], os.fsencode(program), mode=0o755, durable=False)
    return written


def installed_package(environment: str) -> "str | None":
    """Return the directory of an installed package `protoprimer`, by whomever."""
    lists_it = any(name.startswith(_NAME + "-") for name in metadata_directories(environment))
    places = [os.path.join(packages, _NAME) for packages in site_packages_directories(environment)]
    if not lists_it and not any(map(os.path.lexists, places)):
        return None
    import subprocess

    command = [environment_python(environment), "-I", "-c", _FIND]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    origin = os.fsdecode(found.stdout).strip()
    return os.path.dirname(origin) if origin else os.path.join(environment, _NAME)


def has_our_mark(package: str) -> bool:
    """Tell whether this package is ours, not another of this name."""
    return MARK_LINE.encode("ascii") in content_of(package, "version.py").splitlines()
