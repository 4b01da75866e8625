"""Requirement files: what our reader makes of each text, and what pip's own makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.project.requirement_files import lines_of_file
from truth.oracle import embedded_pip

if TYPE_CHECKING:
    from pathlib import Path

# Texts of requirement files, as pip documents them and as its tests try them.
TEXTS = [
    "alpha\n",
    "alpha",
    "",
    "# nothing\n\n   # indented\n",
    "alpha==1.0 # why\n",
    "alpha==1.0# no comment\n",
    "alpha#1\n",
    "  alpha  \n\tbeta\t\n",
    "alpha \\\n  >= 1.0 \\\n  , < 2\nbeta\n",
    "alpha\\\n==1.0\n",
    "alpha \\\n",
    "\\\nalpha\n",
    "alpha \\\n\nbeta\n",
    "alpha \\\n# x\n== 1.0\nbeta\n",
    "alpha \\\n  # x \\\nbeta\n",
    "# x \\\nbeta\n",
    "alpha # x \\\nbeta\n",
    "alpha\r\nbeta\rgamma\n",
    "alpha\x0cbeta\x0bgamma\u2028delta\n",
    "alpha ; python_version >= '3.0'\n",
    'alpha[x,y] >= 1.0 ; os_name == "posix" and sys_platform != "x"\n',
    "alpha @ https://host.invalid/alpha-1.0.zip#sha256=00 ; os_name == 'posix'\n",
    "https://host.invalid/alpha-1.0.zip#egg=alpha&subdirectory=sub\n",
    "git+https://host.invalid/alpha@main#egg=alpha\n",
    "./pkg\n./pkg[x]\n.pkg\npkg/\n../pkg\n",
    "alpha-1.0-py3-none-any.whl\nalpha-1.0.tar.gz\n",
    "alpha --hash=sha256:00 --hash sha256:01\n",
    "alpha \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nbeta\n",
    "alpha --config-settings key=value\nbeta -C k=v\n",
    "alpha --no-binary beta\n",
    "-e ./pkg\n-e=./pkg\n-e./pkg\n--editable ./pkg\n--editable=./pkg\n",
    "-e \"./my pkg\"\n-e ./my\\ pkg\n-e './my pkg'\n",
    "-e ./pkg --config-settings k=v\n",
    "-e git+https://host.invalid/alpha#egg=alpha\n",
    "-r nested.txt\n",
    "-rnested.txt\n",
    "-r=nested.txt\n",
    "--requirement nested.txt\n--requirement=deep/deep.txt\n",
    "--requirem nested.txt\n",
    '-r "deep/my deep.txt"\n-r deep/my\\ deep.txt\n',
    "-r deep/deep.txt\n",
    "-r nested.txt -r deep/deep.txt\n",
    "-c nested.txt\nalpha\n",
    "--constr nested.txt\nalpha\n",
    "-c nested.txt -r deep/deep.txt\n",
    "--no-index -r nested.txt\n",
    "--pre --no-index\nalpha\n",
    "--index-url https://host.invalid/simple\n-i https://host.invalid/simple\nalpha\n",
    "--find-links deep\n-f deep\nalpha\n",
    "--trusted-host host.invalid\n--prefer-binary\n--require-hashes\nalpha\n",
    "./${NAMED}\n-r ${NAMED}/deep.txt\n",
    "./${UNKNOWN}/x\n./$NAMED\n./${lower}\n./${EMPTY}\n",
]
CONTENTS = [
    *(text.encode() for text in TEXTS),
    "\ufeffalpha\n".encode(),
    "alpha # \xe9\n".encode("utf-16"),
    "alpha # \xe9\n".encode("utf-16-le"),
    b"\xfe\xff" + "alpha # \xe9\n".encode("utf-16-be"),
    "alpha\nbeta\n".encode("utf-32"),
    "# coding: latin-1\n./\xe9\n".encode("latin-1"),
    "alpha\n# -*- coding: latin-1 -*-\n./\xe9\n".encode("latin-1"),
]
# Read by the child that has pip: requirement, whether it is editable and a constraint, and its line.
PIPS_READER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
answers = []
for name in sys.argv[2:]:
    os.chdir(os.path.dirname(name))
    try:
        found = list(parse_requirements(name, PipSession()))
        answers.append([[one.requirement, one.is_editable, one.constraint, one.line_source] for one in found])
    except Exception as error:
        answers.append("%s: %s" % (type(error).__name__, error))
print(json.dumps(answers))
"""
VARIABLES = {"NAMED": "deep", "EMPTY": ""}
NESTED = {"nested.txt": "delta\n", "deep/deep.txt": "epsilon\n-r ../nested.txt\n", "deep/my deep.txt": "zeta\n"}
# What differs, and why ours is right or nobody meets it.
KNOWN = {
    b"-r=nested.txt\n": "uv takes what follows the sign; to pip the sign is part of the name, and no file is called so",
    b"-e ./pkg\n-e=./pkg\n-e./pkg\n--editable ./pkg\n--editable=./pkg\n": "the same",
    "alpha # \xe9\n".encode("utf-16-le"): "pip refuses it, and so does whoever installs",
}


def answers_of_pip(files: list[Path]) -> list[Any]:
    wheel = os.path.dirname(embedded_pip())
    command = [sys.executable, "-c", PIPS_READER, wheel, *map(str, files)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **VARIABLES}, check=True)
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers


def our_answer(file: Path) -> list[list[object]]:
    found: list[list[object]] = []
    for line in lines_of_file(str(file), str(file.parent)):
        if line.target:
            source = f"line {line.number} of {line.path}"
            found.append([line.target, line.is_editable, line.is_constraint, source])
    return found


def once_each(answer: Any) -> Any:
    """Return lines without the space around them, each once: a file that is named twice says nothing more."""
    if isinstance(answer, str):
        return answer
    found: list[list[object]] = []
    for requirement, *more in answer:
        line = [requirement.strip(), *more]
        if line not in found:
            found.append(line)
    return found


def test_each_text_is_read_as_pip_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    files = []
    for number, content in enumerate(CONTENTS):
        directory = tmp_path / str(number)
        (directory / "deep").mkdir(parents=True)
        for name, text in NESTED.items():
            (directory / name).write_text(text, encoding="utf-8")
        files.append(directory / "requirements.txt")
        files[-1].write_bytes(content)
    different = []
    for content, file, expected in zip(CONTENTS, files, answers_of_pip(files)):
        found = our_answer(file)
        if content in KNOWN:
            assert found != once_each(expected), f"{content!r} does not differ any more"
        elif found != once_each(expected):
            different.append(f"{content!r}\n  ours: {found}\n  pip's: {expected}")
    assert different == [], "\n".join(different)
