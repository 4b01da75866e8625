"""What a row of the table cannot tell: what is asked how often, what is said, what `check` reports, and bundles."""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import support
from clones import finished
from hosts.index import Behaviour
from hosts.world import WHEELS_OF_DISTRIBUTION
from samples import WITH_UV
from simple_index import make_wheel, sha256

if TYPE_CHECKING:
    from hosts.bench import Bench
    from hosts.world import World

pytestmark = pytest.mark.index


def roads(world: World, *arguments: str) -> list[dict[str, Any]]:
    """Return the records of `check --json`: what was tried, what closed it, what would open it."""
    found = json.loads(world.prime("check", "--json", *arguments, status=None).output)["roads"]
    assert isinstance(found, list)
    return found


# 1. What closed a road.


# Hosts of the table close the road in the ways that are `thorough` here.
@pytest.mark.parametrize(
    ("behaviour", "closed"),
    [
        pytest.param(Behaviour(files_status=404), "not found", id="404", marks=pytest.mark.thorough),
        pytest.param(Behaviour(login_pages=True), "web page", id="login-pages", marks=pytest.mark.thorough),
        pytest.param(Behaviour(login_files=True), "web page", id="login-files", marks=pytest.mark.thorough),
        pytest.param(Behaviour(basic=("alice", "s3cret")), "refused", id="401"),
        pytest.param(Behaviour(files_status=403), "refused", id="403", marks=pytest.mark.thorough),
        pytest.param(Behaviour(stall=True), "timed out", id="silent", marks=pytest.mark.thorough),
        pytest.param(Behaviour(wrong_bytes=("uv-",)), "other bytes", id="other-bytes", marks=pytest.mark.thorough),
    ],
)
def test_1_what_closed_the_road_to_uv_is_recorded_by_kind(bench: Bench, behaviour: Behaviour, closed: str) -> None:
    world = bench.world().set(PIP_INDEX_URL=bench.index(behaviour).url)
    world.prime()
    log = "".join(path.read_text() for path in world.clone.state.glob("log/*.log"))
    assert re.search(f"(?i)uv .*{closed}", log), log


def closed_ways(world: World) -> set[str]:
    return {one["closed"] for one in roads(world)}


def test_1_a_connection_that_is_refused_is_a_blocked_road(bench: Bench) -> None:
    assert closed_ways(bench.world().without_network().set(PIP_INDEX_URL="http://127.0.0.1:9/simple/")) == {"blocked"}


def test_1_a_proxy_that_wants_a_password_has_refused_the_road(bench: Bench) -> None:
    proxy = bench.proxy("bob:pa55")
    world = bench.world().set(PIP_INDEX_URL=bench.index().url, HTTP_PROXY=proxy.url, http_proxy=proxy.url)
    assert closed_ways(world) == {"refused"}
    assert proxy.refused == 1


def test_1_a_certificate_that_nobody_trusts_closes_the_road_by_tls(bench: Bench) -> None:
    index = bench.index(tls=bench.certificates().good)
    assert closed_ways(bench.world().set(PIP_INDEX_URL=index.url)) == {"TLS"}


def test_1_check_tells_every_road_with_what_would_open_it(bench: Bench) -> None:
    index = bench.index(Behaviour(basic=("alice", "s3cret")))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    uv = [one for one in roads(world) if one["tool"] == "uv"]
    assert uv
    for one in uv:
        assert set(one) >= {"tool", "tried", "closed", "opens"}
    assert "s3cret" not in json.dumps(uv)


def test_1_check_tells_people_of_roads_only_where_they_need_one(bench: Bench) -> None:
    world = bench.world().without_network()
    told = world.prime("check", "--offline", status=None).output
    assert "can serve" in told
    assert "road: " not in told
    assert re.search(r"backend: uv: uv [\d.]+ is not here\n", told), told
    assert "road: " in world.prime("check", "-v", status=None).output
    (built,) = re.findall("building .*", world.prime("--offline").errors)
    assert re.search(r"venv \(not uv: uv [\d.]+ is not here; not virtualenv: [\w.-]+ [\d.]+ is not here\)", built), (
        built
    )


def test_1_wrong_bytes_of_pip_are_not_replaced_by_another_pip_but_uv_serves(bench: Bench) -> None:
    index = bench.index(Behaviour(wrong_bytes=("pip-",)))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    assert "with backend uv" in world.prime().errors
    errors = world.prime("--backend", "venv", "reboot", status=5).errors
    assert "is pinned" in errors


# 2. Every way to a pip and a virtualenv.


def test_2_what_the_plan_excludes_is_not_downloaded(bench: Bench) -> None:
    python = support.python_of("3.6")
    if python is None:
        pytest.skip("this host has no Python 3.6")
    index = bench.index(python=python)
    bench.world(python).set(PIP_INDEX_URL=index.url).prime()
    assert not index.asked_for("/uv")


def test_2_builds_have_the_setuptools_that_an_installed_virtualenv_carries(bench: Bench) -> None:
    world = bench.world(bench.stripped("ensurepip")).without_network().hide(WHEELS_OF_DISTRIBUTION)
    (world.bin / "virtualenv").symlink_to(bench.virtualenv_program(support.default_python()))
    (world.clone.root / "pyproject.toml").unlink()
    text = "from setuptools import setup\nsetup(name='demo', version='1', py_modules=['demo'])\n"
    (world.clone.root / "setup.py").write_text(text)
    assert world.prime().output == "demo\n"


def test_2_a_uv_that_cannot_create_leaves_nothing_behind(bench: Bench) -> None:
    world = bench.world().without_network()
    world.program(
        "uv",
        'case "$*" in *--version*) echo uv 0.13.0;; *) for last; do :; done; mkdir -p "$last/half"; kill -9 $$;; esac',
    )
    done = world.prime()
    assert done.output == "demo\n"
    assert len(list(world.clone.state.glob("envs/*/"))) == len(world.clone.generations()) == 1


def test_2_without_any_road_the_sentence_opens_one(bench: Bench) -> None:
    world = bench.world(bench.stripped("venv", "ensurepip")).without_network().hide(WHEELS_OF_DISTRIBUTION)
    errors = world.prime(status=5).errors
    # It names what may be put where: this is what it says of uv.
    assert re.search(r"put (a )?uv on PATH", errors), errors
    assert "road: " in world.prime("check", status=None).output
    (world.bin / "uv").symlink_to(bench.uv_program())
    assert world.prime().output == "demo\n"


# 3. One verdict per server and run.


def test_3_a_silent_server_is_asked_once(bench: Bench) -> None:
    index = bench.empty_index(Behaviour(stall=True))
    world = bench.world().impatient().set(PIP_INDEX_URL=index.url)
    world.prime()
    assert len(index.requests) == 1, [one.path for one in index.requests]


def test_3_a_server_whose_certificate_is_refused_is_asked_once(bench: Bench) -> None:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.expired)
    world = bench.world().set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority))
    world.prime()
    assert index.connections == 1


def test_3_a_redirection_to_a_dead_host_closes_that_host_alone_and_once(bench: Bench) -> None:
    dead = bench.empty_index(Behaviour(stall=True))
    index = bench.index(Behaviour(redirect_to=dead.server))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    assert world.prime().output == "demo\n"
    assert len(dead.requests) == 1, [one.path for one in dead.requests]
    assert index.asked_for("/simple/uv/")
    assert index.asked_for("/simple/pip/")
    opens = {one["opens"] for one in roads(world) if one["closed"] == "timed out"}
    assert opens
    assert all(dead.server in one and index.server not in one for one in opens), opens


@pytest.mark.thorough  # as the test before
def test_3_what_another_python_finds_closed_is_asked_once(bench: Bench) -> None:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.expired)
    world = bench.world(bench.stripped("ssl"))
    (world.bin / f"python{support.default_python().name}").symlink_to(support.default_python().executable)
    world.set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority)).prime()
    assert index.connections == 1


def test_3_a_download_goes_to_the_disk_and_what_stops_half_way_is_removed(bench: Bench) -> None:
    world = bench.world().set(PIP_INDEX_URL=bench.index(Behaviour(hold=True)).url)
    process = world.start("./prime")
    seen = 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            seen = max([seen, *(one.stat().st_size for one in os.scandir(world.cache / "wheels"))])
        time.sleep(0.02)
    assert finished(process).output == "demo\n"
    # A directory is never so large.
    assert seen > 1 << 20
    assert not os.listdir(world.cache / "wheels")


def test_3_a_download_that_was_cut_off_is_resumed(bench: Bench) -> None:
    index = bench.index(Behaviour(cut=1))
    world = bench.world().set(PIP_INDEX_URL=index.url)
    world.prime()
    assert [one.headers.get("range", "") for one in index.asked_for("/files/uv")][-1].startswith("bytes=")


def test_3_pip_asks_a_server_that_was_silent_once(bench: Bench) -> None:
    index = bench.empty_index(Behaviour(stall=True))
    world = bench.world().impatient().set(PIP_INDEX_URL=index.url)
    text = (world.root / "pyproject.toml").read_text()
    world.clone.write({"pyproject.toml": text.replace("version =", 'dependencies = ["nowhere"]\nversion =')})
    errors = world.prime(status=6).errors
    assert len(index.asked_for("/nowhere/")) == 1, [one.path for one in index.requests]
    assert re.search(rf"next: let this host reach {index.server}, or set proxy or index-url", errors), errors


def test_3_an_unusable_uv_is_remembered(bench: Bench) -> None:
    world = bench.world().without_network()
    world.program("uv", f"echo asked >> '{world.base}/tmp/count'; exit 3")
    for _ in range(2):
        world.prime("reboot")
    assert (world.base / "tmp" / "count").read_text() == "asked\n"


@pytest.mark.parametrize("arguments", [["--python", "3.99"], ["--backend", "uv"]], ids=["interpreter", "backend"])
def test_3_without_network_what_is_missing_is_told(bench: Bench, arguments: list[str]) -> None:
    world = bench.world().without_network()
    done = world.prime(*arguments, status=4 if "3.99" in arguments else 5)
    assert done.errors.count("error: ") == 1
    assert "Traceback" not in done.errors


# 4. Where to write.


def test_4_the_state_directory_can_be_named_by_a_variable(bench: Bench) -> None:
    world = bench.world().without_network()
    state = world.base / "tmp" / "a state"
    world.set(PROTOPRIMER_STATE_DIR=str(state)).read_only(world.root)
    assert world.prime().output == "demo\n"
    assert list(state.glob("**/protoprimer.json"))


def test_4_a_cold_start_on_a_read_only_checkout_leaves_its_state_in_the_users_cache(bench: Bench) -> None:
    world = bench.world().without_network()
    world.read_only(world.root)
    for _ in range(2):
        assert world.prime().output == "demo\n"
    assert list(world.cache.glob("**/protoprimer.json"))
    assert not world.clone.state.exists()


def test_4_a_stale_environment_on_a_read_only_checkout_tells_which_input_changed(bench: Bench) -> None:
    world = bench.world_for_everybody().without_network()
    world.prime()
    text = (world.root / "pyproject.toml").read_text()
    world.clone.write({"pyproject.toml": f"{text}\n# changed\n"})
    world.as_nobody().read_only(world.root)
    errors = world.prime(status=None).errors
    assert "pyproject.toml changed" in errors
    assert "root" in errors, "who can renew it is told by name"


def test_4_where_root_was_first_the_exact_command_is_told(bench: Bench) -> None:
    world = bench.world_for_everybody().without_network()
    world.prime()
    world.as_nobody().give(world.home).give(world.root)
    os.chown(world.clone.state, 0, 0)
    world.clone.write({"pyproject.toml": (world.root / "pyproject.toml").read_text() + "\n# changed\n"})
    done = world.prime(status=6)
    assert re.search(r"sudo (chown -R|rm -r)", done.errors), done.errors
    assert str(world.clone.state) in done.errors


def test_4_a_cache_of_uv_that_cannot_be_written_does_not_count(bench: Bench) -> None:
    world = bench.world_for_everybody()
    world.set(PIP_INDEX_URL=bench.index(python=world.python).url, UV_CACHE_DIR=str(bench.base))
    world.as_nobody().give(world.root, world.home)
    assert world.prime().output == "demo\n"


# 5. Credentials.


@pytest.mark.thorough  # it waits as long as a user would; in process: tests/unit/settings/test_credentials.py
def test_5_the_command_keyring_gets_no_terminal_and_no_endless_time(bench: Bench) -> None:
    index = bench.index(Behaviour(basic=("alice", "s3cret")))
    world = bench.world().set(PIP_INDEX_URL=index.url_with("alice"), PIP_KEYRING_PROVIDER="subprocess")
    world.program("keyring", "sleep 3600")
    done = world.prime()
    assert done.output == "demo\n"
    assert "keyring" in done.errors


@pytest.mark.parametrize("command", ["check", "eval"])
def test_5_no_secret_is_ever_shown(bench: Bench, command: str) -> None:
    world = bench.world().without_network()
    world.set(
        PIP_INDEX_URL="https://alice:p@ss@mirror.invalid/simple/",
        PIP_EXTRA_INDEX_URL="https://mirror.invalid/simple/?token=t0psecret",
    )
    text = (world.root / "pyproject.toml").read_text()
    step = '{ projects = ["."], args = ["--index-url", "https://bob:4rgs3cret@mirror.invalid/simple/"] }'
    world.clone.write({"pyproject.toml": f"{text}\n[tool.protoprimer]\ninstall = [{step}]\n"})
    for arguments in ([command], [command, "--json"]):
        done = world.prime(*arguments, status=None)
        for secret in ("p@ss", "ss@mirror", "t0psecret", "4rgs3cret"):
            assert secret not in done.output + done.errors, done


def test_5_check_names_where_credentials_come_from(bench: Bench) -> None:
    world = bench.world().without_network().set(PIP_INDEX_URL="https://mirror.invalid/simple/")
    netrc = world.home / ".netrc"
    netrc.write_text("machine mirror.invalid login alice password s3cret\n")
    netrc.chmod(0o600)
    done = world.prime("check", status=None)
    assert "netrc" in done.output
    assert "s3cret" not in done.output


RING = """\
import types, zipfile

MODULE = '''
def get_credential(service, user):
    import types
    return types.SimpleNamespace(username="alice", password="s3cret")

def main():
    print("s3cret")
'''

def build_wheel(directory, settings=None, metadata=None):
    with zipfile.ZipFile(directory + "/ring-1-py3-none-any.whl", "w") as archive:
        archive.writestr("keyring.py", MODULE)
        archive.writestr("ring-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ring\\nVersion: 1\\n")
        tags = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("ring-1.dist-info/WHEEL", tags)
        archive.writestr("ring-1.dist-info/entry_points.txt", "[console_scripts]\\nkeyring = keyring:main\\n")
        archive.writestr("ring-1.dist-info/RECORD", "")
    return "ring-1-py3-none-any.whl"
"""


@pytest.mark.parametrize("name", WITH_UV)
def test_5_a_keyring_that_one_step_brings_serves_the_next(bench: Bench, name: str) -> None:
    world, index = bench.world(), bench.index(Behaviour(basic=("alice", "s3cret")))
    wheel, content = make_wheel("needed", "1.0")
    (world.base / wheel).write_bytes(content)
    index.add_files([world.base / wheel])
    world.set(PIP_INDEX_URL=bench.index().url).prime("--backend", name)
    world.set(PIP_INDEX_URL=index.url_with("alice"), PIP_KEYRING_PROVIDER="subprocess")
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    text = (world.root / "pyproject.toml").read_text()
    steps = '{ projects = [".", { path = "ring", editable = false }] }, { requirements = ["needs.txt"] }'
    world.clone.write(
        {
            "ring/pyproject.toml": build + '[project]\nname = "ring"\nversion = "1"\n',
            "ring/backend.py": RING,
            "needs.txt": "needed\n",
            "pyproject.toml": f"{text}\n[tool.protoprimer]\ninstall = [{steps}]\n",
        }
    )
    assert world.prime("--backend", name).output == "demo\n"


# 6. A bundle is a thing.


# The index is not what is tried here: many files at once may each take longer than the bench's second.
PATIENT = {"PIP_DEFAULT_TIMEOUT": "60", "UV_HTTP_TIMEOUT": "60"}


@pytest.fixture
def bundled(bench: Bench) -> World:
    """Return a host without network, pip and uv beside whose clone lies a bundle that was made for it."""
    world = bench.world(bench.stripped("ensurepip"))
    index = bench.index()
    world.set(PIP_INDEX_URL=index.url, **PATIENT)
    world.prime("bundle", str(world.base / "bundle"))
    shutil.rmtree(world.home)
    shutil.rmtree(world.clone.state, ignore_errors=True)
    world.home.mkdir()
    del world.clone.environ["PIP_INDEX_URL"]
    return world.without_network().hide(WHEELS_OF_DISTRIBUTION)


def test_6_a_bundle_named_by_an_option_serves(bundled: World) -> None:
    assert bundled.prime("--bundle", str(bundled.base / "bundle")).output == "demo\n"


def test_6_check_asks_no_index_where_there_is_a_bundle(bundled: World) -> None:
    report = json.loads(bundled.prime("check", "--json", "--bundle", str(bundled.base / "bundle"), status=1).output)
    assert "bundle" in " ".join(report["index"])
    assert not report["indexes"]


@pytest.mark.thorough  # as the test before
def test_6_a_bundle_named_by_a_variable_serves(bundled: World) -> None:
    assert bundled.set(PROTOPRIMER_BUNDLE=str(bundled.base / "bundle")).prime().output == "demo\n"


def test_6_a_bundle_that_lies_in_the_clone_is_not_used_until_it_is_named(bundled: World) -> None:
    shutil.move(str(bundled.base / "bundle"), str(bundled.root / "bundle"))
    assert "no backend can serve" in bundled.prime(status=5).errors
    assert bundled.prime("--bundle", "bundle").output == "demo\n"


def test_6_an_altered_wheel_of_a_bundle_is_refused_by_its_name(bundled: World) -> None:
    (wheel,) = (bundled.base / "bundle").glob("pip-*.whl")
    wheel.write_bytes(make_wheel("pip", wheel.name.split("-")[1])[1])
    errors = bundled.prime("--bundle", str(bundled.base / "bundle"), status=None).errors
    assert re.search(f"{re.escape(wheel.name)}.*(damaged|altered)", errors.replace("\n", " ")), errors


def test_6_a_missing_file_of_a_bundle_is_told_by_its_name(bundled: World) -> None:
    (wheel,) = (bundled.base / "bundle").glob("pip-*.whl")
    wheel.unlink()
    errors = bundled.prime("--bundle", str(bundled.base / "bundle"), status=None).errors
    assert re.search(f"{re.escape(wheel.name)}.*missing", errors.replace("\n", " ")), errors


def test_6_one_file_serves_as_a_directory_does(bench: Bench) -> None:
    world = bench.world().set(PIP_INDEX_URL=bench.index().url, **PATIENT)
    first, second = world.base / "one.zip", world.base / "two.zip"
    for path in (first, second):
        world.prime("bundle", str(path))
    assert first.read_bytes() == second.read_bytes()
    shutil.rmtree(world.home)
    world.home.mkdir()
    world.without_network().set(PIP_INDEX_URL="https://mirror.invalid/simple/")
    assert world.prime("--bundle", str(first)).output == "demo\n"


# 7. `check` for an administrator.


def test_7_check_downloads_nothing(bench: Bench) -> None:
    index = bench.index()
    world = bench.world().set(PIP_INDEX_URL=index.url)
    world.prime("check", status=1)
    assert {one.method for one in index.asked_for("/files/")} <= {"HEAD"}
    assert not list(world.cache.rglob("*.whl"))


def test_7_check_tells_what_an_administrator_needs(bench: Bench) -> None:
    index = bench.index(Behaviour(files_status=403))
    world = bench.world(bench.stripped("venv", "ensurepip")).set(PIP_INDEX_URL=index.url)
    world.hide(WHEELS_OF_DISTRIBUTION)
    output = world.prime("check", status=1).output
    for word in ("system", "user", "cache", "state", "certificates", "proxy", str(index.port)):
        assert word in output, output
    assert "ask your administrator for one of these:" in output
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == len(set(lines)), output


# 8. Pins.


def test_8_a_scheduled_workflow_renews_the_tools_with_the_authors_command() -> None:
    workflows = [path.read_text() for path in (support.ROOT / ".github" / "workflows").glob("*.yml")]
    assert any("schedule:" in text and "update_tool_pins" in text for text in workflows)
    script = (support.ROOT / "tools" / "update_tool_pins.py").read_text()
    target = re.search(r'TARGET = REPOSITORY((?: / "[\w.]+")+)', script)
    assert target
    assert support.ROOT.joinpath(*re.findall(r'"([\w.]+)"', target.group(1))).is_file()


@pytest.mark.thorough
def test_8_the_authors_command_writes_what_an_index_has_now(bench: Bench) -> None:
    index, root = bench.index(), bench.base / "protoprimer"
    root.mkdir()
    for name in ("src", "backends", "tools"):
        shutil.copytree(support.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prime", "pyproject.toml"):
        shutil.copy2(support.ROOT / name, root)
    made = {}
    for name, needs in (("pip", ""), ("virtualenv", "Requires-Dist: distlib\n"), ("distlib", "")):
        filename, content = make_wheel(name, "99.0", metadata=needs)
        index.files[filename], made[filename] = content, sha256(content)
    tags = ["manylinux_2_17_armv7l.musllinux_1_1_armv7l", "manylinux_2_17_armv7l", "win_amd64"]
    for tag in tags:
        index.files[f"uv-99.0-py3-none-{tag}.whl"] = tag.encode()
    environ = {**os.environ, "PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull, "HOME": str(bench.base)}
    pins = root / "src" / "protoprimer" / "fetch" / "pins.py"
    subprocess.run([sys.executable, "tools/update_tool_pins.py"], cwd=root, env=environ, check=True, timeout=300)
    pinned_wheels = runpy.run_path(str(pins))["pinned_wheels"]
    # One of two wheels that serve the same host is enough.
    assert pinned_wheels("uv") == {f"uv-99.0-py3-none-{tag}.whl": sha256(tag.encode()) for tag in (tags[0], tags[2])}
    for python in ((3, 6), (3, 13)):
        found = {**pinned_wheels("pip", python), **pinned_wheels("virtualenv", python)}
        assert found == made


# 9. The end of a failed install.


@pytest.mark.parametrize(
    "cause",
    [
        "401",
        pytest.param("500", marks=pytest.mark.thorough),
        pytest.param("certificate", marks=pytest.mark.thorough),
    ],
)
def test_9_a_failed_install_tells_the_cause_of_the_index(bench: Bench, cause: str) -> None:
    certificates = bench.certificates()
    index = bench.index(tls=certificates.good if cause == "certificate" else None)
    world = bench.world().set(PIP_INDEX_URL=index.url, PIP_CERT=str(certificates.authority))
    world.prime("--backend", "venv")
    text = (world.root / "pyproject.toml").read_text()
    world.clone.write({"pyproject.toml": text.replace("requires = []", 'requires = ["setuptools"]')})
    if cause == "certificate":
        world.set(PIP_CERT=support_certificates())
    elif cause == "401":
        index.behaviour = Behaviour(basic=("alice", "s3cret"))
    else:
        index.behaviour = Behaviour(failures=[500] * 99)
    errors = world.prime("--backend", "venv", status=6).errors
    end = errors[errors.index("\nerror: ") :].strip()
    assert cause in end, errors
    assert "No matching distribution found" not in errors[: errors.index(end)] + end.splitlines()[0]


def support_certificates() -> str:
    """Return a file of certificates among which that of the tests' private authority is not."""
    import ssl

    usual = [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem"]
    found = next((path for path in usual if path and Path(path).is_file()), None)
    if found is None:
        pytest.skip("this host has no file of certificates")
    return found
