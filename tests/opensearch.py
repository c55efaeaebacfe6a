"""A real OpenSearch node for tests: fetched once, kept between runs, started on ports and in a folder of its own.

    python -m tests.opensearch                fetch it, as `make opensearch` does
    python -m tests.opensearch COMMAND ...    run a command with a node at SEARCHSVC_OPENSEARCH_URL, which the command
                                              may kill and restart (SEARCHSVC_NODE_PID_FILE, SEARCHSVC_NODE_START)

The distribution and both plugins come from the Maven repository. This is the newest version that it has all three of.
"""

from __future__ import annotations

import http.client
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

VERSION: Final = "3.6.0"
MIN_JAVA: Final = 21
ARTIFACTS: Final = (
    f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip",
    f"org.opensearch.plugin:opensearch-knn:{VERSION}.0:zip",
    f"org.opensearch.plugin:neural-search:{VERSION}.0:zip",
)
# The node does not run as root: its user must be able to enter the folder.
FOLDER: Final = Path(os.environ.get("SEARCHSVC_TEST_OPENSEARCH", "/var/tmp/searchsvc-test")) / f"opensearch-{VERSION}"
USER: Final = "nobody"
# A start takes 15 s; on a machine with other work it may take minutes.
START_TIMEOUT_S: Final = 600.0
STOP_TIMEOUT_S: Final = 60.0
# Below those that Linux gives to whoever asks for any.
PORTS: Final = range(20_000, 32_000)
# A node that lives for minutes gains nothing from the optimizing compiler, which doubles what a start costs.
JVM_OPTIONS: Final = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1"


def missing() -> str:
    """Return why no node can be started here, or ''."""
    if not java_home():
        return f"no Java {MIN_JAVA} or newer was found (JAVA_HOME, /usr/lib/jvm, the PATH)"
    if not (FOLDER / "bin" / "opensearch").exists():
        return f"OpenSearch {VERSION} is not there: `make opensearch` fetches it"
    return ""


def java_home() -> str:
    """Return the folder of a Java that is new enough, or ''."""
    on_path = shutil.which("java")
    places = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    places += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    places += [Path(on_path).resolve().parent.parent] if on_path else []
    return next((str(place) for place in places if _java_version(place) >= MIN_JAVA), "")


def _java_version(home: Path) -> int:
    binary = home / "bin" / "java"
    if not binary.exists():
        return 0
    output = subprocess.run([str(binary), "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', output)
    return int(version[1]) if version else 0


def fetch() -> None:
    """Download the distribution and its plugins into `FOLDER`, all or nothing.

    Raises OSError or CalledProcessError.
    """
    if (FOLDER / "bin" / "opensearch").exists():
        return
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    partial = FOLDER.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    downloads = partial / "downloads"
    for artifact in ARTIFACTS:
        sys.stderr.write(f"fetching {artifact}\n")
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy", f"-DoutputDirectory={downloads}", f"-Dartifact={artifact}"],
            check=True,
            cwd=FOLDER.parent,
        )
    node, knn, neural = (downloads / "{1}-{2}.zip".format(*artifact.split(":")) for artifact in ARTIFACTS)
    # Python's zipfile does not keep which files are executable.
    subprocess.run(["unzip", "-q", str(node), "-d", str(partial)], check=True)
    unpacked = next(path for path in partial.iterdir() if (path / "bin").is_dir())
    for plugin, name in ((knn, "opensearch-knn"), (neural, "neural-search")):
        subprocess.run(["unzip", "-q", str(plugin), "-d", str(unpacked / "plugins" / name)], check=True)
    unpacked.rename(FOLDER)
    shutil.rmtree(partial)


def without_plugins() -> Path:
    """Return the folder of the same distribution without plugins. It consists of hard links."""
    bare = FOLDER.with_name(f"{FOLDER.name}-bare")
    if not bare.exists():
        partial = bare.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(FOLDER, partial, copy_function=os.link, symlinks=True, ignore=_plugins_in)
        (partial / "plugins").mkdir()
        partial.rename(bare)
    return bare


def _plugins_in(folder: str, names: Sequence[str]) -> set[str]:
    return {"plugins"} & set(names) if Path(folder) == FOLDER else set()


class OpenSearchNode:
    """One running node, in a folder and on ports of its own.

    home: folder of the distribution
    """

    def __init__(self, home: Path = FOLDER) -> None:
        # Not below pytest's folder: another pytest that starts meanwhile would change its owner.
        self.data = data = Path(tempfile.mkdtemp(prefix="opensearch-"))
        self._home = home
        self.port, transport = _free_port(), _free_port()
        config, logs = data / "config", data / "logs"
        shutil.copytree(FOLDER / "config", config)
        logs.mkdir()
        (config / "opensearch.yml").write_text(
            f"cluster.name: searchsvc-test\nnode.name: test\nnetwork.host: 127.0.0.1\nhttp.port: {self.port}\n"
            f"transport.port: {transport}\ndiscovery.type: single-node\nnode.store.allow_mmap: false\n"
            f"cluster.routing.allocation.disk.threshold_enabled: false\npath.data: {data / 'data'}\npath.logs: {logs}\n"
        )
        options = config / "jvm.options"
        options.write_text(options.read_text().replace("logs/", f"{logs}/"))
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            self._as_user = ["runuser", "-u", USER, "--"]
            user = pwd.getpwnam(USER)
            for path in (data, *data.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
            for path in (data, *data.parents):
                path.chmod(path.stat().st_mode | 0o011)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def pid_file(self) -> Path:
        return self.data / "pid"

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        environment = {
            "OPENSEARCH_JAVA_HOME": java_home(),
            "OPENSEARCH_JAVA_OPTS": JVM_OPTIONS,
            "OPENSEARCH_PATH_CONF": str(self.data / "config"),
            "PATH": os.environ["PATH"],
        }
        clean_environment = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        return [*clean_environment, *self._as_user, str(self._home / "bin" / "opensearch"), "-p", str(self.pid_file)]

    def start(self) -> None:
        """Start it on its ports and wait until it answers. Raises OSError if it does not."""
        log = (self.data / "stdout").open("wb")
        with log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.data)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise OSError(f"OpenSearch did not start: {(self.data / 'stdout').read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it and delete its folder."""
        if self._process is not None:
            # Not the id of our child: a command may have killed the node and started it again.
            pid = self.pid
            self.thaw()
            os.kill(pid, signal.SIGTERM)
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.1)
        shutil.rmtree(self.data, ignore_errors=True)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def freeze(self) -> None:
        """Stop it: it accepts requests and answers none."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue after `freeze`."""
        if self._process is not None:
            # `runuser`, which runs it as another user, stops with it.
            os.kill(self._process.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=2s")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _free_port() -> int:
    """Return a free port that the kernel gives to nobody else until the node binds it, which takes seconds."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def run_with_node(command: Sequence[str]) -> int:
    """Run a command with a node and return its exit status."""
    node = OpenSearchNode()
    environment = {
        "SEARCHSVC_OPENSEARCH_URL": node.url,
        "SEARCHSVC_NODE_PID_FILE": str(node.pid_file),
        "SEARCHSVC_NODE_START": shlex.join(node.command),
    }
    try:
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
    finally:
        node.stop()


if __name__ == "__main__":
    fetch()
    sys.exit(run_with_node(sys.argv[1:]) if len(sys.argv) > 1 else 0)
