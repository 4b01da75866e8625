"""File systems that are not the usual one: those of containers, in memory, and those that have no links."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

import support

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones

MOUNTS = {
    "tmpfs": "mount -t tmpfs none /mnt",
    "overlay": "mount -t tmpfs none /media && mkdir /media/lower /media/upper /media/work"
    " && cp -a {clone}/. /media/lower"
    " && mount -t overlay -o lowerdir=/media/lower,upperdir=/media/upper,workdir=/media/work none /mnt",
}


@pytest.mark.backends_in_turn
@pytest.mark.parametrize("kind", MOUNTS)
def test_a_clone_works_on_the_file_systems_of_containers(
    kind: str, backend: str, new_clone: Callable[..., clones.Clone], fetch_tools: Callable[[str], None]
) -> None:
    if not support.mount_namespace_works():
        pytest.skip("nothing can be mounted here")
    fetch_tools(backend)
    clone = new_clone().project("demo").entry("prime", None, "boot").entry("app", "client:main")
    clone.write({"client.py": "import demo\n\ndef main():\n    print(demo.NAME)\n"})
    mount = MOUNTS[kind].format(clone=shlex.quote(str(clone.root)))
    # The clone, copied there or seen through it; built, used, used again, changed and used.
    script = f"""set -e
        PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin
        {mount}
        [ -e /mnt/prime ] || cp -a {shlex.quote(str(clone.root))}/. /mnt
        cd /mnt
        ./prime --backend {backend} 2>&1 | grep 'created an environment'
        ./app
        ./prime
        touch pyproject.toml
        ./prime
        ./app
        echo >> pyproject.toml
        ./app 2>&1 | tail -n 1
    """
    done = clone.run(support.needed_tool("unshare"), "-m", "sh", "-c", script)
    first, *rest = done.output.splitlines()
    assert first.startswith("created an environment")
    assert rest == ["demo"] * 3


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_where_there_are_no_links_the_message_says_where_to_put_environments(
    error: str, backend: str, new_clone: Callable[..., clones.Clone], fetch_tools: Callable[[str], None]
) -> None:
    if not support.strace_works():
        pytest.skip("no process may be traced here")
    fetch_tools(backend)
    clone = new_clone().project("demo").entry("prime", None, "boot")
    trace = ["-f", "-qq", "-e", "trace=symlink,symlinkat", "-e", f"inject=symlink,symlinkat:error={error}", "-o"]
    command = [support.needed_tool("strace"), *trace, "/dev/null", "./prime", "--backend", backend]
    # Where its directory of temporary files has no links either, virtualenv makes copies.
    done = clone.run(*command, status=0 if backend == "virtualenv" else 6)
    assert ("set state-dir to a directory on another one" in done.errors) == (backend != "virtualenv")
    assert "Traceback" not in done.errors
    clone.prime()
