"""Kernels that begin warm: forks of a process that has imported what chapters import.

That takes longer than most chapters do. A process asks for such kernels by the environment
:data:`WARM`; they differ from others in nothing else.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing import forkserver, get_context, parent_process, set_start_method
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

WARM = {
    "JUPYTER_DEFAULT_PROVISIONER_NAME": "warm",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # read when matplotlib is imported
}
"""Environment of a process whose kernels are to be warm."""
if sys.platform != "linux":  # macOS does not let a fork go on to call what chapters need
    WARM = {}

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    ["companion.figures", "multiscale.study.study", "ipykernel.kernelapp", "myst_nb.ext.glue"]
)


def warm_up() -> None:
    """Begin to import what chapters do, beside other work."""
    if WARM:
        forkserver.ensure_running()


class Warm(LocalProvisioner):
    """Begins a kernel as a fork, where Jupyter's own would begin it as a program."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Begin the kernel of a command line, with the environment and folder given."""
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = _Process(arguments, kwargs["env"], kwargs.get("cwd", os.getcwd()))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Process:
    """A fork, as what a provisioner knows: a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, *given: Any):
        self.process = FORKS.Process(target=_be_kernel, args=given)
        self.process.start()
        self.pid, self.wait = self.process.pid, self.process.join
        self.terminate, self.kill = self.process.terminate, self.process.kill

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _be_kernel(arguments: list[str], env: dict[str, str], cwd: str) -> None:
    import pandas as pd
    from ipykernel.kernelapp import launch_new_instance

    pd.set_option("display.max_columns", 20)  # as it is where a kernel imports pandas
    set_start_method(None, force=True)  # of processes of its own: the usual one
    os.setsid()  # a group of its own, which Ctrl-C does not reach
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    launch_new_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


def _end_with_parent() -> None:
    parent_process().join()  # who asked for the kernel, and not the process that it is a fork of
    os._exit(1)
