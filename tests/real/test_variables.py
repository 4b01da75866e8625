"""What the set-up and the client see of each variable that matters: the table of docs/reference/variables.md, from real runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import clones
import support

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What is set for the runs. Where a value has to work it does; the others would do harm if they were heard.
VARIABLES = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PYTHONUSERBASE": "/nowhere",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSTARTUP": "/nowhere/start.py",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONOPTIMIZE": "1",
    "PYTHONWARNINGS": "ignore",
    "PYTHONHASHSEED": "7",
    "PYTHONUTF8": "1",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONBREAKPOINT": "0",
    "PYTHONSAFEPATH": "1",
    "PYTHONPYCACHEPREFIX": "/nowhere/pyc",
    "PYTHONEXECUTABLE": "/nowhere/python",
    "__PYVENV_LAUNCHER__": "/nowhere/python",
    "VIRTUAL_ENV": "/nowhere/venv",
    "VIRTUAL_ENV_PROMPT": "(nowhere)",
    "CONDA_PREFIX": "/nowhere/conda",
    "CONDA_DEFAULT_ENV": "nowhere",
    "PIP_TARGET": "/nowhere/target",
    "PIP_USER": "1",
    "PIP_PREFIX": "/nowhere/prefix",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_EXTRA_INDEX_URL": "https://packages.invalid/simple",
    "PIP_DEFAULT_TIMEOUT": "50",
    "UV_SYSTEM_PYTHON": "1",
    "UV_PYTHON": "2.7",
    "UV_PROJECT_ENVIRONMENT": "/nowhere/environment",
    "UV_TARGET": "/nowhere/target",
    "UV_HTTP_TIMEOUT": "50",
    "PROTOPRIMER_OFFLINE": "0",
    "PROTOPRIMER_LOCK_TIMEOUT": "250",
}
MEANINGS = {
    "PYTHONUNBUFFERED": "done by `-u`",
    "PYTHONDONTWRITEBYTECODE": "done by `-B`",
    "PYTHONOPTIMIZE": "done by `-O`, `-OO`",
    "PYTHONWARNINGS": "done by `-W`",
    "PIP_EXTRA_INDEX_URL": "read as a setting, and told to whichever backend works",
    "PROTOPRIMER_OFFLINE": "read as a setting",
    "PROTOPRIMER_LOCK_TIMEOUT": "read as a setting",
}
HEAD = """\
# What becomes of variables

Written by `tests/real/test_variables.py` from real runs with all of these set; `WRITE_DOCS=1` lets it write anew.

The set-up's processes (tools, and the builds of projects that they start) run without what would steer Python, pip, uv
or protoprimer; what they are to know is told to them anew. The client has the user's variables as they were, without
what would lead its interpreter out of the environment and without protoprimer's own. It is started with `-I`, so the
interpreter itself hears no `PYTHON*` variable of those that the client can still see, beyond what the last column says.

"as it was" is the user's value; "-" is absent; "its own" is another value, set by a tool for the processes that it starts.

| variable | a build, by uv | a build, by pip (virtualenv, venv) | the client, first start | the client, warm | remark |
|---|---|---|---|---|---|
"""
REPORTING_BUILDER = 'import json, os\nopen("../seen.json", "w").write(json.dumps(dict(os.environ)))\n'
CLIENT = "import json, os\ndef main():\n    print(json.dumps(dict(os.environ)))\n"


def word_for(name: str, seen: dict[str, Any]) -> str:
    if name not in seen:
        return "-"
    return "as it was" if seen[name] == VARIABLES[name] else "its own"


def test_the_table_of_variables_is_what_happens(new_clone: Callable[..., clones.Clone], tmp_path: Path) -> None:
    columns = []
    clients = []
    for backend in ("uv", "venv"):
        clone = new_clone(f"with {backend}").project("piece", "piece")
        clone.write(
            {
                "client.py": CLIENT,
                "protoprimer.toml": f'backend = "{backend}"\ninstall = [{{ projects = [{{ path = "piece", editable = false }}] }}]\n',
            }
        )
        clone.write({"piece/builder.py": REPORTING_BUILDER + clones.BUILD_BACKEND}).entry("app", "client:main", "run")
        fresh = {"UV_CACHE_DIR": str(tmp_path / "uv"), "PIP_CACHE_DIR": str(tmp_path / "pip")}
        cold, warm = (clone.run("./app", environ={**VARIABLES, **fresh}).json() for _ in range(2))
        columns.append(json.loads((clone.root / "seen.json").read_text(encoding="utf-8")))
        clients.append((cold, warm))
    # Which backend made the environment is nothing to the client.
    for name in VARIABLES:
        assert len({word_for(name, seen) for seen in (clients[0][0], clients[1][0])}) == 1, name
    lines = []
    for name in VARIABLES:
        words = [word_for(name, seen) for seen in (*columns, *clients[0])]
        lines.append(f"| `{name}` | " + " | ".join([*words, MEANINGS.get(name, "")]).strip() + " |")
    text = HEAD + "\n".join(lines) + "\n"
    path = support.ROOT / "docs" / "reference" / "variables.md"
    if os.environ.get("WRITE_DOCS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "run it with WRITE_DOCS=1, and look at what has changed"


@pytest.mark.parametrize("name", ["PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONBREAKPOINT"])
def test_a_variable_that_names_code_runs_none(
    new_clone: Callable[..., clones.Clone], tmp_path: Path, name: str
) -> None:
    (tmp_path / "planted.py").write_text("raise SystemExit('planted code was run')\n")
    clone = new_clone().write(
        {"client.py": "def main():\n    print('client')\n", "protoprimer.toml": 'backend = "venv"\n'}
    )
    clone.entry("app", "client:main", "run")
    for _start in ("cold", "warm"):
        done = clone.run("./app", environ={name: str(tmp_path / "planted.py"), "PYTHONPATH": str(tmp_path)})
        assert done.output == "client\n"
