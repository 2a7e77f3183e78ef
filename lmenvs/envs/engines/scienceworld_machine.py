"""ScienceWorld's simulator as a Java process: what it needs, its start, its sessions, its end.

The simulator keeps sessions apart, but not their simplifications, which are global: so there is one
Java process for each of them. It orders some lists by the identity hashes of its objects, which
differ from run to run; the process is started with constant ones, so that texts are the same
everywhere. What it prints goes nowhere: unread, it would fill a pipe and stop the process.
"""

import importlib.util
import os
import shutil
from typing import Any

JAVA_OPTIONS = ("-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2", "-XX:+UseSerialGC")
GET_JAVA = "install OpenJDK 8 or newer (apt-get install default-jre-headless)"


def check_installed() -> None:
    """Refuse to make an environment that could not run.

    Raises:
        ImportError: if the package or Java is missing; the line says what to install.
    """
    if importlib.util.find_spec("scienceworld") is None:
        raise ImportError(
            "this environment needs the package scienceworld; pip install 'lmenvs[scienceworld]'"
        )
    if shutil.which("java") is None:
        raise ImportError(
            f"this environment needs Java, and there is no `java` on the PATH; {GET_JAVA}"
        )


class Machine:
    """A Java process that runs any number of sessions."""

    def __init__(self) -> None:
        from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
        from scienceworld.constants import BASEPATH, JAR_PATH

        try:
            started: Any = launch_gateway(
                classpath=JAR_PATH,
                die_on_exit=True,
                cwd=BASEPATH,
                javaopts=list(JAVA_OPTIONS),
                return_proc=True,
            )
        except (OSError, ValueError) as error:  # it did not tell its port
            raise ImportError(
                f"this environment needs Java, but it does not start; {GET_JAVA}"
            ) from error
        port, process = started
        self._gateway: Any = JavaGateway(
            gateway_parameters=GatewayParameters(auto_field=True, port=port), java_process=process
        )
        java = self._gateway.jvm.java
        java.lang.System.setOut(java.io.PrintStream(os.devnull))
        self.sessions = 0

    def session(self) -> Any:
        """A new session of the simulator; nothing is loaded into it."""
        return self._gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def stop(self) -> None:
        """End the process."""
        process = self._gateway.java_process
        self._gateway.shutdown()
        # the process waits for a line on its input before it ends
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


class _Machines:
    """The machines of this process, each for one set of global simplifications.

    A machine without sessions waits for the next one, since a warm one loads games ten times as
    fast; it ends with Python, or when another kind of machine is needed.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, bool], Machine] = {}
        self._parents: list[Any] = []

    def enter(self, kind: tuple[str, bool]) -> Machine:
        machine = self._running.get(kind)
        if machine is None:
            self.stop()
            machine = self._running[kind] = Machine()
        machine.sessions += 1
        return machine

    def leave(self, machine: Machine) -> None:
        machine.sessions -= 1

    def stop(self) -> None:
        """End the idle machines."""
        for idle in [kind for kind, running in self._running.items() if not running.sessions]:
            self._running.pop(idle).stop()

    def after_fork(self) -> None:
        """Leave the parent's processes alone, and keep what would else say goodbye to them."""
        self._parents.append(self._running)
        self._running = {}


MACHINES = _Machines()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MACHINES.after_fork)
