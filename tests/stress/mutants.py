"""Change one thing in the source, and see whether the tests in process notice: `python tests/stress mutants --sample 20`.

A mutant is the tree with one condition turned round, one comparison, operator or number changed, or one statement
left out. Its tests are `tests/unit`, without what judges the text of the repository. A mutant that no test kills is a
line that could be wrong unseen; the survivors are listed, to be looked at by a person.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMS = {
    "backends": "backends",
    "commands": "src/protoprimer/commands",
    "fetch": "src/protoprimer/fetch",
    "formats": "src/protoprimer/formats",
    "graph": "src/protoprimer",
    "project": "src/protoprimer/project",
    "pythons": "src/protoprimer/pythons",
    "runtime": "src/protoprimer/runtime",
    "settings": "src/protoprimer/settings",
    "store": "src/protoprimer/store",
    "system": "src/protoprimer/system",
}
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
# A mutant may wait for ever; then it is noticed too.
SECONDS = 600


class Mutant(NamedTuple):
    """One change of one file."""

    path: str
    line: int
    what: str
    source: str


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/stress mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="mutants of each room (default: 20)")
    parser.add_argument("--rooms", default=",".join(ROOMS), help="the rooms, by commas (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--tests", default="tests/unit", help="what is run, by commas (default: tests/unit)")
    options = parser.parse_args(words)
    tests = options.tests.split(",")
    samples = {room: sample_of(room, options.sample, options.seed) for room in options.rooms.split(",")}
    with tempfile.TemporaryDirectory(prefix="protoprimer-tree-") as directory:
        # What is edited meanwhile changes no figure.
        tree = Path(directory, "tree")
        copy_of_tree(tree)
        if not passes(tree, tests):
            print("the tests fail without any mutant", file=sys.stderr)
            return 2
        return 1 if survivors_of(samples, tree, tests, options.jobs) else 0


def survivors_of(samples: dict[str, list[Mutant]], tree: Path, tests: list[str], jobs: int) -> int:
    """Try all mutants, and say of each room how many were killed; return how many were not."""
    survivors = 0
    for room, sample in samples.items():
        with ThreadPoolExecutor(jobs) as pool:
            killed = list(pool.map(lambda mutant: is_killed(mutant, tree, tests), sample))
        alive = [mutant for mutant, was_killed in zip(sample, killed) if not was_killed]
        survivors += len(alive)
        share = 100 * (len(sample) - len(alive)) // max(1, len(sample))
        print(f"{room}: {len(sample) - len(alive)} of {len(sample)} killed ({share} %)", flush=True)
        for mutant in alive:
            print(f"  {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
    return survivors


def sample_of(room: str, size: int, seed: int) -> list[Mutant]:
    """Return so many mutants of a room, the same for the same seed and sources."""
    mutants = []
    for path in sorted((ROOT / ROOMS[room]).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        mutants += list(mutants_of(path.relative_to(ROOT).as_posix(), source))
    return random.Random(seed).sample(mutants, min(size, len(mutants)))


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Yield every change of one file."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        what = _change_in_words(node)
        if what is None:
            continue
        changed = copy.deepcopy(tree)
        twin = list(ast.walk(changed))[number]
        _change(twin)
        yield Mutant(path, getattr(node, "lineno", 0), what, ast.unparse(changed))


def _change_in_words(node: ast.AST) -> str | None:
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        return f"not ({ast.unparse(node.test)})"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        return f"the other way round: {ast.unparse(node)}"
    if isinstance(node, ast.BoolOp):
        return f"`and` for `or`, or the reverse: {ast.unparse(node)}"
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return f"{node.value + 1} for {node.value}"
    if isinstance(node, ast.Return) and node.value is not None and not _is_nothing(node.value):
        return f"nothing returned: {ast.unparse(node)}"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return f"left out: {ast.unparse(node)}"
    return None


def _is_nothing(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _change(node: ast.AST) -> None:
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Compare):
        node.ops[0] = COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        node.value += 1
    elif isinstance(node, (ast.Return, ast.Expr)):
        node.value = ast.Constant(None)


def is_killed(mutant: Mutant, tree: Path, tests: list[str]) -> bool:
    """Tell whether a test fails, or waits for ever, in a copy of the tree with this change."""
    with tempfile.TemporaryDirectory(prefix="protoprimer-mutant-") as directory:
        changed = Path(directory, "tree")
        shutil.copytree(tree, changed, symlinks=True)
        (changed / mutant.path).write_text(mutant.source, encoding="utf-8")
        return not passes(changed, tests)


def passes(tree: Path, tests: list[str]) -> bool:
    """Tell whether these tests pass in a tree."""
    environ = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--reruns", "0"]
    command += ["--ignore", "tests/unit/test_repository.py", "--ignore", "tests/unit/test_benchmarks.py", *tests]
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def copy_of_tree(target: Path) -> None:
    """Copy the tracked files."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
