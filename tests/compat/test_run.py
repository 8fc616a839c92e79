"""`pullback run`: a program sees what it would see under `python script.py`, and torch is pullback."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest


def pullback(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "pullback", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


@pytest.fixture
def script(tmp_path):
    def write(text, name="program.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def test_the_program_sees_itself(script, tmp_path):
    script("VALUE = 'neighbour'", "beside_it.py")
    path = script("""
        # names: ünï, 한국어
        import os, sys
        import beside_it
        import __main__
        print(__name__, __file__ == sys.argv[0], sys.argv[1:], beside_it.VALUE)
        print(os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)))
        print(__main__.__dict__ is globals(), __spec__, __package__)
    """)
    done = pullback("run", path, "--epochs", "3", "-h", "--version")
    assert done.stdout.splitlines() == [
        "__main__ True ['--epochs', '3', '-h', '--version'] neighbour",
        "True",
        "True None None",
    ], done.stderr
    relative = pullback("run", path.name, "--epochs", "3", "-h", "--version", cwd=tmp_path)
    assert relative.stdout == done.stdout


def test_the_path_is_what_python_makes_it(script):
    path = script("import sys; print(len(sys.path)); print(sys.path[1:])")
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    assert pullback("run", path).stdout == plain.stdout


def test_torch_is_pullback(script):
    path = script("""
        import torch, torch.nn as nn, pullback
        print(torch.__version__, pullback.__version__, nn is pullback.nn)
    """)
    assert pullback("run", path).stdout == "2.13.0+pullback 0.1.0 True\n"


def test_what_a_script_defines_can_be_pickled_and_inspected(script):
    path = script("""
        import inspect, pickle
        class Point:
            def __init__(self, x): self.x = x
        print(pickle.loads(pickle.dumps(Point(3))).x, len(inspect.getsource(Point).splitlines()))
    """)
    assert pullback("run", path).stdout == "3 2\n"


@pytest.mark.parametrize(
    ("ending", "code", "error"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit('bad news')", 1, "bad news\n"),
    ],
)
def test_exit_codes(script, ending, code, error):
    done = pullback("run", script(f"print('ran')\n{ending}"))
    assert (done.returncode, done.stdout, done.stderr) == (code, "ran\n", error)


TRACEBACKS = {
    "exception": "def f():\n    return 1 / 0\n\nf()\n",
    "cause": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
    "syntax": "x = = 1\n",
    "missing module": "import no_such_module_anywhere\n",
}


@pytest.mark.parametrize("text", TRACEBACKS.values(), ids=TRACEBACKS)
def test_tracebacks_are_pythons_own(script, text):
    path = script(text)
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    done = pullback("run", path)
    assert (done.returncode, done.stderr) == (plain.returncode, plain.stderr)


def test_a_missing_name_of_torch_has_no_frame_of_ours(script):
    path = script("import torch._C\n")
    done = pullback("run", path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[:3] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 1, in <module>',
        "    import torch._C",
    ]
    assert "runner.py" not in done.stderr and "No module named 'torch._C'" in done.stderr


def test_the_programs_own_hooks_run(script):
    path = script("""
        import atexit, sys
        atexit.register(lambda: print("closed"))
        sys.excepthook = lambda kind, value, trace: print("hooked", kind.__name__)
        raise KeyError("k")
    """)
    done = pullback("run", path)
    assert (done.returncode, done.stdout) == (1, "hooked KeyError\nclosed\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupt(script):
    path = script("""
        import time
        print("ready", flush=True)
        time.sleep(60)
    """)
    process = subprocess.Popen(
        [sys.executable, "-m", "pullback", "run", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background inherits that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT) and error.rstrip().endswith("KeyboardInterrupt")


def test_modules_run_too(script, tmp_path):
    script(
        "import sys, torch\nprint(__name__, sys.argv[1:], torch.__version__)\nraise SystemExit(4)",
        "a_module.py",
    )
    done = pullback("run", "-m", "a_module", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "__main__ ['x'] 2.13.0+pullback\n"), done.stderr


def test_no_such_file(tmp_path):
    done = pullback("run", tmp_path / "absent.py")
    assert done.returncode == 2 and "can't open file" in done.stderr and "No such file" in done.stderr


def test_version_and_help():
    assert pullback("version").stdout.startswith("pullback 0.1.0")
    assert pullback("--version").stdout == pullback("version").stdout
    assert pullback("run", "--help").returncode == 0
    assert pullback().returncode == 2 and pullback("run").returncode == 2
    assert pullback("no-such-command").returncode == 2


def test_the_command_is_installed():
    command = os.path.join(os.path.dirname(sys.executable), "pullback")
    if not os.path.exists(command):
        pytest.skip("pullback is not installed beside this Python")
    done = subprocess.run([command, "version"], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("pullback 0.1.0")
