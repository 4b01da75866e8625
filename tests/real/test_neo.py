"""Client code in the neo runtime: its states, targets, options, configuration, and the runs of others inside its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped,unused-ignore]
import pytest

import clones
import own_wheel
import support
from protoprimer.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from clones import Clone

    NewClone = Callable[..., Clone]

VENV = 'backend = "venv"\n'

APP = '''\
import functools, os
from protoprimer import PrimerError, get_config, lazy, state

@state
def generated(root, options):
    """The generated file."""
    with open(os.path.join(root, "generated.txt"), "w") as stream:
        stream.write(options.name)
    return "generated"

@state(target="all-of-it")
def everything(generated, environment, costly=lazy):
    """All that this repository wants."""
    print("everything", generated, os.path.isdir(os.path.join(environment, "lib")))
    return costly() if os.environ.get("COSTLY") else None

@state
def costly():
    print("costly")

@state
def broken(root):
    raise ValueError("the client's own")

@state
def precondition(root):
    raise PrimerError("the precondition fails", "here", "do that")

def logged(function):
    @functools.wraps(function)
    def logging(*args, **kwargs):
        return function(*args, **kwargs)
    return logging

@logged
def main(*, primer):
    primer.add_option("--name", default="nobody", help="whom it is for")
    primer.default_target = "all-of-it"

def plain():
    print("plain", sorted(name for name in os.environ if name.startswith("PROTOPRIMER_")))
'''


@pytest.fixture
def neo_clone(new_clone: NewClone) -> Clone:
    """Return a clone whose `./prime` has a main that takes the primer, and `./plain` one that does not."""
    clone = new_clone().write({"protoprimer.toml": VENV, "app.py": APP})
    return clone.entry("prime", "app:main", "boot").entry("plain", "app:plain", "boot")


def test_client_states_are_reached_by_default_and_by_target(neo_clone: Clone, kernel: str) -> None:
    prime = neo_clone.prime
    assert prime("-q", "--name", "ann").output == "everything generated True\n"
    assert (neo_clone.root / "generated.txt").read_text() == "ann"
    assert prime().output == "everything generated True\n"
    assert (neo_clone.root / "generated.txt").read_text() == "nobody"
    assert prime(environ={"COSTLY": "1"}).output == "everything generated True\ncostly\n"
    (neo_clone.root / "generated.txt").unlink()
    assert prime("--target", "environment").output == ""
    assert not (neo_clone.root / "generated.txt").exists()
    # The order of options and command is free.
    prime("--target", "generated", "boot", "--name=bob")
    assert (neo_clone.root / "generated.txt").read_text() == "bob"
    prime("--name", "eve", "--target", "generated", "-v", "--color", "never")
    assert (neo_clone.root / "generated.txt").read_text() == "eve"
    # A main without `primer` runs as ever; a target is reached in its place.
    assert neo_clone.run("./plain").output == "plain []\n"
    assert neo_clone.run("./plain", "--target", "costly").output == "costly\n"


def test_what_is_wrong_with_states_is_one_message(neo_clone: Clone) -> None:
    prime = neo_clone.prime
    unknown = prime("-q", "--target", "all-of-its", status=2).errors
    assert unknown.startswith("error: there is no target 'all-of-its'\n")
    assert "did you mean 'all-of-it'? known: " in unknown
    # Found in proto where no client could know it.
    neo_clone.entry("bare", None, "boot")
    assert "did you mean 'environment'?" in neo_clone.run("./bare", "--target", "enviroment", status=2).errors
    assert "did you mean '--name'?" in prime("--nam", "x", status=2).errors
    assert "unrecognized arguments: word" in neo_clone.run("./plain", "--target", "costly", "word", status=2).errors
    assert prime("eval", "--target", "costly", status=2).errors.startswith("error: --target is not an option of eval")
    refused = prime("--target", "precondition", status=1)
    assert refused.errors == "error: the precondition fails\n  where: here\n  next: do that\n"
    broken = prime("--target", "broken", status=1).errors
    assert broken.splitlines()[-1] == "ValueError: the client's own"
    assert [line for line in broken.splitlines() if line.startswith("  File")] == [
        f'  File "{neo_clone.root}/app.py", line 23, in broken'
    ]


WRONG = {
    "a cycle": (
        "@state\ndef one(two): pass\n@state\ndef two(one): pass\n",
        "the states need each other in a circle: one -> two -> one",
        ["app.py:2 (one)", "app.py:4 (two)"],
    ),
    "an unknown state": (
        "@state\ndef one(enviroment): pass\n",
        "needs 'enviroment'",
        ["app.py:2 (one)", "'environment'"],
    ),
    "a duplicate": (
        "@state\ndef one(): pass\n@state(name='one')\ndef two(): pass\n",
        "the state 'one' is defined twice",
        ["app.py:2 (one) and ", "app.py:4 (two)"],
    ),
    "a built-in's name": ("@state\ndef environment(): pass\n", "'environment' is defined twice", ["replace=True"]),
    "itself": ("@state\ndef one(one): pass\n", "asks for itself but replaces nothing", ["app.py:2 (one)"]),
    "a coroutine": ("@state\nasync def one(): pass\n", "a state cannot be async", ["app.py:2 (one)", "asyncio.run"]),
    "an async generator": ("@state\nasync def one(): yield\n", "a state cannot be async", ["app.py:2 (one)"]),
    "nothing to replace": ("@state(replace=True)\ndef one(): pass\n", "no state 'one' to replace", ["app.py:2 (one)"]),
}


def test_a_wrong_graph_is_refused_before_anything_of_it_runs(new_clone: NewClone) -> None:
    clone = new_clone().write({"protoprimer.toml": VENV})
    clone.entry("prime", "app:main", "boot").entry("plain", "app:plain", "boot")
    ends = "\ndef main(primer): pass\ndef plain(): print('plain ran')\n"
    for what, (states, cause, places) in WRONG.items():
        clone.write({"app.py": "from protoprimer import state\n" + states + ends})
        for command in (
            ["./prime", "-q"],
            ["./prime", "--target", "environmen"],
            ["./plain", "-q"],
            ["./prime", "--help"],
        ):
            done = clone.run(*command, status=3)
            assert cause in done.errors, what
            assert all(place in done.errors for place in places), what
            assert done.output == "", what
            assert "Traceback" not in done.errors, what


def test_help_shows_both_where_the_environment_is_ready(neo_clone: Clone) -> None:
    before = neo_clone.prime("--help")
    assert "--target NAME" in before.output
    assert "the repository's own options are shown once its environment is ready" in before.output
    assert not (neo_clone.state / "ready").exists()
    neo_clone.prime("-q")
    (neo_clone.root / "generated.txt").unlink()
    after = neo_clone.prime("--help").output
    assert "--name NAME  whom it is for" in after
    assert "  all-of-it              All that this repository wants.\n" in after
    assert "the repository's own" not in after
    assert not (neo_clone.root / "generated.txt").exists()


def test_graph_shows_the_clients_states_where_the_environment_is_ready(neo_clone: Clone) -> None:
    before = neo_clone.prime("graph")
    assert "the repository's own states are shown once" in before.errors
    assert "[ ] environment " in before.output
    neo_clone.prime("-q")
    after = neo_clone.prime("graph").output.splitlines()
    assert after[0].startswith("the way to everything: ")
    marks = {line[4:].split()[0]: line[:3] for line in after[2:] if line[4] != " "}
    assert (marks["environment"], marks["everything"], marks["broken"], marks["plan"]) == ("[x]", "[ ]", " - ", "[=]")
    assert all(len(line) <= 160 for line in after)
    assert "s_costly -.-> s_everything" in neo_clone.prime("graph", "--format", "mermaid").output
    assert '"broken" [fillcolor="#fff2b3"' in neo_clone.prime("graph", "--format=dot", "--target", "broken").output


CONFIGURED = """\
import json, os
from protoprimer import get_config

def main():
    os.chdir("/")
    print(json.dumps({leap: get_config(leap) for leap in ("input", "primer", "client", "env", "derived")}))
"""


def test_any_leap_is_had_from_client_code(new_clone: NewClone, kernel: str) -> None:
    clone = new_clone().write({"protoprimer.toml": VENV + "keep = 4\n[env.dev]\nkeep = 5\n", "app.py": CONFIGURED})
    clone.entry("cmd/prime", "app:main", "boot").entry("go", "app:main")
    cold = clone.run("./cmd/prime", "-q", "--env", "dev", "--offline").json()
    assert cold["input"] == {"env": "dev", "offline": True}
    assert cold["client"] == {"backend": "venv", "keep": 4, "env": {"dev": {"keep": 5}}}
    assert cold["env"] == {"keep": 5}
    assert cold["primer"]["root"] == str(clone.root)
    assert (cold["derived"]["keep"], cold["derived"]["environment"]) == (5, "dev")
    assert clone.run("./cmd/prime").json()["derived"]["environment"] == "default", "the option is for one command"
    clone.run("./cmd/prime", "env", "dev")
    for command in ("./cmd/prime", "./go"):
        warm = clone.run(command).json()
        assert warm == {**cold, "input": {}}, "the environment is chosen; nothing else was asked for"
    steered = clone.run("./go", environ={"PROTOPRIMER_KEEP": "9"}).json()
    assert (steered["input"], steered["derived"]["keep"]) == ({"keep": 9}, 9)


def test_environments_of_one_clone_live_side_by_side_and_one_is_chosen(new_clone: NewClone) -> None:
    clone = new_clone().write({"protoprimer.toml": VENV + "[env.dev]\n[env.test]\n", "app.py": PREFIX})
    clone.entry("prime", "app:main", "boot")
    seen = {name: clone.prime("-q", "--env", name).output for name in ("default", "dev", "test")}
    assert [os.path.basename(prefix).partition("-")[0] for prefix in seen.values()] == ["default", "dev", "test"]
    assert clone.prime().output == seen["default"]
    assert (clone.root / ".venv").resolve() == (clone.root / seen["default"].strip()).resolve()
    clone.prime("env", "dev")
    assert clone.prime("-e", "test").output == seen["test"]
    assert clone.prime().output == seen["dev"]
    assert clone.builds() == 3
    error = clone.prime("--env", "tset", status=3).errors
    assert "there is no environment 'tset'" in error
    assert "did you mean 'test'? known: default, dev, test" in error
    # Another branch lacks the one that was chosen: its default serves there, and the choice stays for the rest.
    clone.write({"protoprimer.toml": VENV + "[env.test]\n"})
    fallen_back = clone.prime()
    assert "this branch has no environment 'dev', which this clone has chosen: taking default\n" in fallen_back.errors
    assert os.path.basename(fallen_back.output).startswith("default-")
    assert "there is no environment 'dev'" in clone.prime("--env", "dev", status=3).errors
    clone.write({"protoprimer.toml": VENV + "[env.dev]\n[env.test]\n"})
    assert clone.prime().output == seen["dev"]


PREFIX = "import sys\n\ndef main():\n    print(sys.prefix)\n"


@pytest.mark.index
def test_the_installed_package_serves_client_code_and_renews_a_kernel_only_by_the_repositorys_hash(
    new_clone: NewClone,
) -> None:
    clone = new_clone()
    wheel = own_wheel.make_own_wheel(clone.root)
    settings = VENV + f'install = {{ args = ["./{wheel}"] }}\n'
    client = "import protoprimer\nfrom protoprimer import state, get_config\n" + CONFIGURED.replace(
        "    print(", "    print(protoprimer.__file__)\n    print("
    )
    clone.write({"protoprimer.toml": settings, "app.py": client})
    clone.entry("prime", "app:main", "boot")
    kernel, old = clone.root / "proto_kernel.py", own_wheel.kernel_of_version("0.0.9")
    kernel.write_text(old, encoding="utf-8")
    kernel.chmod(0o750)
    cold = clone.prime()
    assert f"the kernel proto_kernel.py is of version 0.0.9, the environment's protoprimer is {VERSION}" in cold.errors
    assert kernel.read_text(encoding="utf-8") == old
    assert "site-packages" in cold.output.splitlines()[0]
    assert json.loads(cold.output.splitlines()[1])["derived"]["kernel-update"] == "check"
    assert "kernel" not in clone.prime().errors, "nothing is said when warm"
    # An edited kernel is nobody's but the editor's.
    edited = old.replace("\nimport os\n", "\nimport os  # mine\n", 1)
    assert edited != old
    kernel.write_text(edited, encoding="utf-8")
    clone.write({"protoprimer.toml": settings + 'kernel-update = "auto"\n'})
    assert "the kernel has been edited since it was written" in clone.prime(status=3).errors
    assert kernel.read_text(encoding="utf-8") == edited
    kernel.write_text(old, encoding="utf-8")
    unnamed = clone.prime().errors
    assert 'warning: the kernel was not updated: kernel-update = "auto" needs kernel-sha256' in unnamed
    settings += 'kernel-update = "auto"\nkernel-sha256 = "%s"\n'
    clone.write({"protoprimer.toml": settings % ("0" * 64)})
    assert "not the one that the repository names" in clone.prime().errors
    assert kernel.read_text(encoding="utf-8") == old
    digest = hashlib.sha256(clones.generated_kernel().encode()).hexdigest()
    settings %= digest
    clone.write({"protoprimer.toml": settings + "keep = 2\n"})
    told = [line for line in clone.prime().errors.splitlines() if "kernel" in line]
    assert told == [f"updated the kernel proto_kernel.py from version 0.0.9 to {VERSION} (sha256 {digest}): commit it"]
    assert kernel.stat().st_mode & 0o777 == 0o750
    newer = kernel.read_text(encoding="utf-8")
    assert f"\n# version: {VERSION}\n" in newer
    assert clone.prime().errors == ""
    clone.write({"protoprimer.toml": settings + "keep = 3\n"})
    assert "kernel" not in clone.prime().errors
    # Never back: a kernel newer than what is installed stays.
    newest = own_wheel.kernel_of_version("99.0")
    kernel.write_text(newest, encoding="utf-8")
    clone.write({"protoprimer.toml": settings + "keep = 4\n"})
    assert "kernel" not in clone.prime().errors
    assert kernel.read_text(encoding="utf-8") == newest
    kernel.write_text(old, encoding="utf-8")
    clone.write({"protoprimer.toml": settings.replace('"auto"', '"off"')})
    assert "kernel" not in clone.prime().errors
    assert kernel.read_text(encoding="utf-8") == old


def test_a_primed_repository_inside_anothers_code_state_or_shell_works_as_if_alone(new_clone: NewClone) -> None:
    inner = new_clone("inner").write({"protoprimer.toml": VENV + "keep = 2\n", "app.py": REPORT})
    inner.entry("go", "app:main")
    alone = inner.run("./go", "--flag").json()
    outer = new_clone("outer").write({"protoprimer.toml": VENV + "keep = 7\n[env.dev]\n", "app.py": NESTED})
    outer.entry("prime", "app:main", "boot").entry("go", "app:code")
    go = str(inner.root / "go")
    foreign = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "__PYVENV_LAUNCHER__": "/nowhere",
        "VIRTUAL_ENV": "/nowhere",
    }
    runs = {
        "from code": outer.run("./go", go, environ=foreign),
        "from a state": outer.prime("-q", "--target", "nested", "--offline", "--env", "dev", "--", go),
        "from run": outer.prime("run", "--", go, "--flag"),
        "from a shell": outer.prime("shell", "--shell", "sh", "-c", f"'{go}' --flag"),
        "cold from run": None,
    }
    for generation in inner.generations():
        subprocess.run(["rm", "-rf", str(generation)], check=True)
    runs["cold from run"] = outer.prime("run", "--", go, "--flag")
    for how, done in runs.items():
        assert done is not None
        seen = json.loads(done.output)
        assert seen["variables"] == [], how
        assert seen == alone, how


REPORT = """\
import json, os, sys
from protoprimer import get_config

def main():
    names = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
    print(json.dumps({
        "prefix": sys.prefix, "arguments": sys.argv[1:], "path": sys.path,
        "variables": sorted(name for name in os.environ if name.startswith("PROTOPRIMER_") or name in names),
        "keep": get_config()["keep"], "input": get_config("input"), "root": get_config("primer")["root"],
    }))
"""

NESTED = """\
import subprocess, sys
from protoprimer import state

def code():
    return subprocess.run([sys.argv[1], "--flag"]).returncode

@state
def nested(arguments):
    subprocess.run([arguments[0], "--flag"], check=True)

def main(primer):
    primer.add_option("what", nargs="?")
"""


def test_several_roots_are_served_by_one_kernel(new_clone: NewClone) -> None:
    clone = new_clone().write(
        {"tools/keep": "", "one/protoprimer.toml": VENV, "two/protoprimer.toml": VENV + "keep = 2\n"}
    )
    show = "import sys\nfrom protoprimer import get_config\n\ndef main():\n    print(sys.prefix, get_config('primer')['root'])\n"
    for name in ("one", "two"):
        clone.write({f"{name}/app_{name}.py": show})
        clone.entry(f"{name}/prime", f"app_{name}:main", "boot")
        script = clone.root / name / "prime"
        script.write_text(
            script.read_text()
            .replace("../proto_kernel.py", "../tools/proto_kernel.py")
            .replace("../.protoprimer", ".protoprimer")
        )
    (clone.root / "proto_kernel.py").rename(clone.root / "tools/proto_kernel.py")
    for name in ("one", "two"):
        for command in (f"{name}/prime", str(clone.root / name / "prime")):
            assert str(clone.root / name) in clone.run(command, "-q").output.split(" ", 1)[1]
    assert (clone.root / "one/.protoprimer/ready").exists()
    assert (clone.root / "two/.protoprimer/ready").exists()
    assert not (clone.root / ".protoprimer").exists()


def schema_of(name: str) -> Any:
    return json.loads((support.ROOT / "docs" / "reference" / "schemas" / name).read_text(encoding="utf-8"))


CONFIGURATIONS = {
    "nothing": {},
    "requirements": {"requirements.txt": ""},
    "everything": {
        "protoprimer.toml": 'python = ">=3.8"\nbackend = ["venv", "uv"]\nwatch = ["a"]\nlock = false\nlock-timeout = 1.5\n'
        'install = { args = ["x"] }\nmatrix = { python = ["3.9"], jobs = 2 }\n[env.dev]\nkeep = 1\nvenv-link = false\n'
    },
}


@pytest.mark.parametrize("what", list(CONFIGURATIONS))
def test_eval_and_check_print_what_their_schemas_say(new_clone: NewClone, what: str) -> None:
    clone = new_clone().write(CONFIGURATIONS[what]).entry("prime", None, "boot")
    before = clones.snapshot(clone.root)
    chosen = ["--env", "dev"] if what == "everything" else []
    evaluated = clone.prime("eval", "--json", "--offline", *chosen).json()
    jsonschema.Draft7Validator(schema_of("eval.json")).validate(evaluated)
    values = {key: entry["value"] for key, entry in evaluated["values"].items() if entry["value"] is not None}
    jsonschema.Draft7Validator(schema_of("protoprimer.json")).validate(values)
    checked = clone.prime("check", "--json", "--offline", *chosen, status=1).json()
    jsonschema.Draft7Validator(schema_of("check.json")).validate(checked)
    assert clones.snapshot(clone.root) == before, "looking changes nothing"
    text = clone.prime("eval", *chosen).output
    assert max(map(len, text.splitlines())) <= 160
    if what == "everything":
        assert evaluated["environments"] == ["default", "dev"]
        assert evaluated["values"]["keep"] == {"value": 1, "leap": "env", "place": "protoprimer.toml:9 (env.dev.keep)"}
        assert 'install      = [{ args = ["x"] }]' in text
    if what == "requirements":
        assert 'install = [{ requirements = ["requirements.txt"] }]  # derived: ' in text


@pytest.mark.parametrize(
    ("text", "status", "says", "place"),
    [
        ("def main(:\n", 1, "SyntaxError: ", "app.py"),
        ("def main(primer, more): pass\n", 3, "main() missing 1 required positional argument: 'more'", "app.py:1"),
        (
            "def main(primer):\n    primer.add_option('--a')\n    primer.add_option('--a')\n",
            3,
            "the option --a cannot be added: argument --a: conflicting option string: --a",
            "app.py:3",
        ),
        ("async def main(primer): pass\n", 3, "awaits or yields: nobody runs it", "app.py:1"),
        ("def main(primer): primer.default_target = 'gone'\n", 2, "no target 'gone'", "where: primer.default_target"),
    ],
)
def test_a_main_that_cannot_be_used_is_told_without_a_traceback_of_ours(
    neo_clone: Clone, text: str, status: int, says: str, place: str
) -> None:
    errors = neo_clone.write({"app.py": text}).run("./prime", "-q", status=status).errors
    assert says in errors
    assert place in errors
    assert "proto_kernel" not in errors
    assert "Traceback" not in errors
