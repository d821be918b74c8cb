"""Every command: what is wrong is said in a line and costs nothing; told to end, it does."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import made_up
import psutil
import pytest
import yaml
from safetensors.numpy import load_file

from companion import build, pages, rerun
from multiscale.interruption import INTERRUPTED
from multiscale.study import cli, design
from multiscale.study.study import Study

ON_PROFILES = ["run", "status", "plan", "results", "claims", "build", "rerun front"]
ON_DATA = ["data prepare", "data check", "data describe"]
WANTED = [design.Experiment(task=task, architecture=made_up.SMALL) for task in design.TASKS]
BEGINS = """
import sys
import test_commands
test_commands.stand_in(setattr)
print("begun", flush=True)
sys.exit(test_commands.main())
"""


def stand_in(setattr) -> None:
    """Two experiments are all there are, a book needs nothing made ready, and Sphinx is out."""
    for name in ("grid", "everything"):
        setattr(design, name, lambda tasks=(): WANTED)
    setattr(Study, "experiments", lambda *asked: WANTED)
    setattr(build, "compute", lambda profile: {})
    for module in (build, rerun):
        setattr(module, "prepare", lambda *asked: {})
    for module in (pages, rerun):
        setattr(module, "jupyter_book", lambda source, config, output, *options: page(output))


def page(output: Path) -> Path:
    (output / "html").mkdir(parents=True)
    return output / "html"


def main() -> int:
    """Do the command of ``sys.argv``."""
    if sys.argv[1] not in ("build", "rerun"):
        return cli.app()
    return {"build": build, "rerun": rerun}[sys.argv.pop(1)].main()


@pytest.fixture
def place(tmp_path, home, monkeypatch) -> Path:
    """Where music, a profile, a project, and a home with another profile lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # processes take longer to start than to work
    write_profile("mine.yaml", made_up.folder(tmp_path / "music", n_clips=12).model_dump())
    (home / "profiles").mkdir(parents=True)
    (home / "profiles/kept.yaml").write_text("description: kept")
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/front\nchapters: [{file: book/second}]")
    (tmp_path / "_config.yml").write_text("sphinx: {config: {}}")
    for name in ("front", "second"):
        known = 'profile = "laptop"\nseed = 0'
        waits = 'import os, time\ntime.sleep(20 * ("BEGUN_IN" in os.environ))\nprint(seed)'
        made_up.chapter(tmp_path / f"book/{name}.ipynb", known, waits)
    return tmp_path


def write_profile(name: str, dataset: dict) -> None:
    sizes = made_up.SIZES.model_dump()
    values = {"dataset": dataset, "learning": {"n_windows": 300, "n_iter": 2}}
    values |= {"description": "made up", "tagging": sizes, "similarity": dict(sizes)}
    Path(name).write_text(yaml.safe_dump(values), encoding="utf-8")


def full(home: str) -> None:
    """Leave no room but for a few small files."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", home]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")


PROFILES = {
    "nosuch": None,
    "gone.yaml": None,
    "folder.yaml": lambda: Path("folder.yaml").mkdir(),
    "mine.yaml": lambda: Path("mine.yaml").chmod(0),
    "broken.yaml": lambda: Path("broken.yaml").write_text("a: [\n\nb"),
    "octal.yaml": lambda: Path("octal.yaml").write_text("description: a\nlearning: {n_iter: 010}"),
    "other.yaml": lambda: write_profile("other.yaml", {"name": "nosuch"}),
    "nowhere.yaml": lambda: write_profile("nowhere.yaml", {"name": "folder", "path": "/nowhere"}),
}
DATA = {
    "nosuch": None,
    "folder": None,
    "folder --path gone.csv": None,
    "folder --path music --clips 0": None,
    "folder --path music/table.csv": lambda: Path("music/table.csv").chmod(0),
    "folder --path music/broken.csv": lambda: Path("music/broken.csv").write_bytes(bytes(9)),
}
HOMES = {
    "read-only": lambda: Path("home").chmod(0o500),
    "another's": lambda: Path("home").chmod(0),
    "full": lambda: full("home"),
    "a file": lambda: os.environ.update(MULTISCALE_HOME="mine.yaml"),
}
MINE = {
    "--profile mine.yaml": ON_PROFILES,
    "folder --path music/table.csv --seconds 5": ON_DATA,
}
TOLD = {
    "gone.yaml": "No such file",
    "folder.yaml": "Is a directory",
    "mine.yaml": "Permission denied",
    "broken.yaml": "expected YAML",
    "octal.yaml": "got 010",
    "nowhere.yaml": "got '/nowhere'",
    "nosuch": "got 'nosuch'",
    "other.yaml": "got 'nosuch'",
    "folder": "path: expected a folder of audio or a table",
    "gone.csv": "gone.csv'",
    "0": "n_clips: expected an integer of at least 1, got 0",
    "music/table.csv": "Permission denied",
    "music/broken.csv": "expected columns with path",
    "read-only": "Permission denied",
    "another's": "Permission denied",
    "full": "the disk is full",
    "a file": "Not a directory",
}
"""What is wrong, the last word of a case -> what is said of it."""
WRONG = {
    **{
        f"{command} --profile {name}": PROFILES[name]
        for command in ON_PROFILES
        for name in PROFILES
    },
    **{f"{command} {name}": DATA[name] for command in ON_DATA for name in DATA},
    **{
        f"{command} {mine}#{home}": HOMES[home]
        for mine, commands in MINE.items()
        for command in commands
        for home in HOMES
    },
}
"""Command, and after # what is wrong with the home -> what makes it wrong."""


def call(command: str, capsys) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command, done in this process."""
    sys.argv = ["multiscale", *command.split()]
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    return code, *capsys.readouterr()


def kept() -> dict[str, bytes]:
    """What no command may touch."""
    found = (*Path("music").glob("*.wav"), *Path().glob("book/*"), Path("home/profiles/kept.yaml"))
    return {path.name: path.read_bytes() for path in found}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_and_nothing_is_lost(place, capsys, monkeypatch, case):
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("MULTISCALE_HOME", "home")
    before = kept()
    try:
        if make_wrong := WRONG[case]:
            make_wrong()
        with made_up.as_anyone():
            code, _, said = call(case.partition("#")[0], capsys)
    finally:
        subprocess.run(["umount", "home"], capture_output=True, check=False)
        Path("home").chmod(0o700)
    assert code not in (0, None)
    assert 1 <= len(said.splitlines()) <= 3, said
    what = case.rpartition("#")[2] if "#" in case else case.split()[-1]
    assert TOLD[what] in said
    assert "Traceback" not in said
    assert kept() == before


def begin(place: Path, command: str) -> subprocess.Popen:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINS, *command.split()],
        env={**os.environ, "PYTHONPATH": paths, "BEGUN_IN": str(place)},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "begun\n"
    return process


def left(place: Path) -> list[psutil.Process]:
    """Processes of a command that are still there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("BEGUN_IN") == str(place):
                found.append(process)
    return found


def made(place: Path) -> dict[str, bytes | list]:
    """What a command is for: scores, clips, or chapters as they ran."""
    patterns = ("home/datasets/*/clips/*.wav", "_build/chapters/*/*/*.ipynb", "_runs/*/*/*.ipynb")
    found = {path.name: path.read_bytes() for pattern in patterns for path in place.glob(pattern)}
    store = (place / "home/store").glob("*/[!.]*.safetensors")
    for path in store:
        arrays = load_file(path)
        arrays.pop("seconds", None)
        found[path.name] = [(name, arrays[name].tolist()) for name in sorted(arrays)]
    return found


def test_ctrl_c_is_the_commands_alone():
    script = """
import signal
from joblib import Parallel, delayed
from multiscale.commands import SIGNALS, command, processes
asked = signal.pthread_sigmask, signal.SIG_BLOCK, ()
with command():
    with processes(2) as pool:
        blocked = [pool.submit(*asked).result()]
    blocked += Parallel(2)(delayed(asked[0])(*asked[1:]) for _ in range(4))
    assert all(each >= set(SIGNALS) for each in blocked), blocked
    assert Parallel(1)([delayed(signal.pthread_sigmask)(*asked[1:])]) == [set()], "heard here"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


IMPORTING = """
import os, runpy, sys
module, number, left = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
light = {"companion", "multiscale", "lazy_loader", *sys.stdlib_module_names}

def tell(event, about):
    global left
    if event == "import" and about[0].partition(".")[0] not in light:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

sys.addaudithook(tell)
sys.argv[0] = "-m"
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Does as ``python -m`` does, and tells itself to end while it imports what others wrote."""


@pytest.mark.parametrize(
    ("moment", "number"),
    [(1, signal.SIGINT), (random.Random(0).randrange(2, 300), signal.SIGTERM)],
)
@pytest.mark.parametrize(
    "command",
    ["companion.build", "companion.rerun x", "companion.pdf", "multiscale.study data list"],
)
def test_told_to_end_while_it_still_imports_it_does(tmp_path, command, moment, number):
    module, *arguments = command.split()
    words = [sys.executable, "-c", IMPORTING, module, str(int(number)), str(moment), *arguments]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", f"{INTERRUPTED}\n")
    assert done.returncode == 128 + number


ENDS = [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)]
OTHERS = [(signal.SIGTERM, os.killpg), (signal.SIGINT, os.kill)]


@pytest.mark.parametrize(
    ("command", "ends"),
    [
        ("run --profile mine.yaml --workers 2", ENDS),
        ("data prepare folder --path music --seconds 5", OTHERS),
        ("build --profile smoke", OTHERS),
        ("rerun front --profile smoke", ENDS),
    ],
)
def test_told_to_end_it_does_and_the_next_call_goes_on(place, capsys, monkeypatch, command, ends):
    monkeypatch.setattr(sys, "argv", [])
    stand_in(monkeypatch.setattr)
    assert not call(command, capsys)[0]
    undisturbed = made(place)
    for folder in ("home", "_build", "_runs"):
        shutil.rmtree(place / folder, ignore_errors=True)
    moments = random.Random(command)
    for number, tell in ends:
        process = begin(place, command)
        time.sleep(moments.uniform(0, 4))
        tell(process.pid, number)
        said = process.communicate(timeout=60)[1]
        if made(place) != undisturbed:  # or else it was at its end
            assert process.returncode == 128 + number, said
            assert "interrupted: what is done is kept" in said
            assert "Traceback" not in said
        assert psutil.wait_procs(left(place), timeout=30)[1] == []
    assert not call(command, capsys)[0]
    assert made(place) == undisturbed
    assert undisturbed
