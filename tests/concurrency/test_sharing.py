"""A host and containers that share a checkout do not take each other's environments away."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from protoprimer.store.generations import GenerationStore
from protoprimer.system.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    import clones

IN_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")


def namespaces_work() -> bool:
    """Tell whether this user can have a pid namespace of its own."""
    try:
        return subprocess.run([*IN_CONTAINER, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not namespaces_work(), reason="no pid namespaces here")


@pytest.mark.parametrize("user_in", ["host", "container"])
def test_a_running_environment_survives_builds_on_the_other_side(
    new_clone: Callable[..., clones.Clone], user_in: str
) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.environ["PATH"] += ":/usr/bin:/bin"
    clone.write({"protoprimer.toml": 'keep = 1\nwatch = ["data"]\n', "data": "0"})
    sides = (("./prime",), (*IN_CONTAINER, "./prime"))
    inside, outside = sides if user_in == "host" else reversed(sides)
    program = "import sys; print(sys.prefix, flush=True); sys.stdin.read(); import demo; print(demo.NAME)"
    running = clone.start(*inside, "run", "--", "python", "-c", program, stdin=subprocess.PIPE)
    assert running.stdout is not None
    used = clone.root / running.stdout.readline().decode().strip()
    for number in range(1, 4):
        clone.write({"data": str(number)})
        clone.run(*outside)
        # As if all of this had been hours ago.
        clone.age_marks()
        clone.run(*outside, "gc")
    assert (used / "protoprimer.json").exists()
    output, errors = running.communicate(b"", timeout=60)
    assert (output, running.returncode) == (b"demo\n", 0), errors


def test_a_builder_in_a_container_is_not_taken_for_one_that_has_ended(new_clone: Callable[..., clones.Clone]) -> None:
    clone = new_clone().project("demo").entry("prime", None, "boot")
    clone.environ["PATH"] += ":/usr/bin:/bin"
    builder = clone.root / "builder.py"
    builder.write_text("import time; open('begun', 'w').close(); time.sleep(2)\n" + builder.read_text())
    building = clone.start(*IN_CONTAINER, "./prime")
    while not (clone.root / "begun").exists() and building.poll() is None:
        time.sleep(0.01)
    # As in another environment of this clone, under whose lock nobody builds.
    GenerationStore(str(clone.state), "other", Console(-1)).collect(1, [])
    assert building.wait(timeout=120) == 0
    assert len(clone.generations()) == 1
