"""A real OpenSearch node for tests: fetched once, kept between runs, started on ports and in a folder of its own.

    python -m tests.opensearch                what `make opensearch` does: fetch it
    python -m tests.opensearch COMMAND ...    a command with a node beside it, at SEARCHSVC_OPENSEARCH_URL, which it may
                                              kill and start again (SEARCHSVC_NODE_PID_FILE, SEARCHSVC_NODE_START)

The distribution and both plugins come from Maven's repository; this is the newest version for which it has all three.
"""

from __future__ import annotations

import http.client
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

VERSION: Final = "3.6.0"
MIN_JAVA: Final = 21
ARTIFACTS: Final = (
    f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip",
    f"org.opensearch.plugin:opensearch-knn:{VERSION}.0:zip",
    f"org.opensearch.plugin:neural-search:{VERSION}.0:zip",
)
# The node does not run as root, so the folder is where another user may enter.
FOLDER: Final = Path(os.environ.get("SEARCHSVC_TEST_OPENSEARCH", "/var/tmp/searchsvc-test")) / f"opensearch-{VERSION}"
USER: Final = "nobody"
START_TIMEOUT_S: Final = 120.0
HEAP: Final = "512m"


def missing() -> str:
    """Why no node can be started here; '' where one can."""
    if not java_home():
        return f"no Java {MIN_JAVA} or newer was found (JAVA_HOME, /usr/lib/jvm, the PATH)"
    if not (FOLDER / "bin" / "opensearch").exists():
        return f"OpenSearch {VERSION} is not there: `make opensearch` fetches it"
    return ""


def java_home() -> str:
    """The folder of a Java that is new enough; '' without one."""
    on_path = shutil.which("java")
    places = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    places += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    places += [Path(on_path).resolve().parent.parent] if on_path else []
    return next((str(place) for place in places if _java_version(place) >= MIN_JAVA), "")


def _java_version(home: Path) -> int:
    binary = home / "bin" / "java"
    if not binary.exists():
        return 0
    said = subprocess.run([str(binary), "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def fetch() -> None:
    """Unpack distribution and plugins into `FOLDER`, all or nothing. Raises OSError or CalledProcessError."""
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
    node, knn, neural = (downloads / f"{one.split(':')[1]}-{one.split(':')[2]}.zip" for one in ARTIFACTS)
    # Python's zipfile would lose which files may be run.
    subprocess.run(["unzip", "-q", str(node), "-d", str(partial)], check=True)
    unpacked = next(path for path in partial.iterdir() if (path / "bin").is_dir())
    for plugin, name in ((knn, "opensearch-knn"), (neural, "neural-search")):
        subprocess.run(["unzip", "-q", str(plugin), "-d", str(unpacked / "plugins" / name)], check=True)
    unpacked.rename(FOLDER)
    shutil.rmtree(partial)


def without_plugins() -> Path:
    """The same distribution without its plugins: hard links, so it takes no room."""
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
    """One running node, in a folder of its own. home: of the distribution that it runs."""

    def __init__(self, home: Path = FOLDER) -> None:
        # Not among those of tests: whoever starts other tests meanwhile takes these from the node's user.
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
        """What starts it."""
        environment = {
            "OPENSEARCH_JAVA_HOME": java_home(),
            "OPENSEARCH_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
            "OPENSEARCH_PATH_CONF": str(self.data / "config"),
            "PATH": os.environ["PATH"],
        }
        clean = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        return [*clean, *self._as_user, str(self._home / "bin" / "opensearch"), "-p", str(self.pid_file)]

    def start(self) -> None:
        """Start it, again on its port, and wait until it answers. Raises OSError where it does not."""
        log = (self.data / "stdout").open("wb")
        with log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.data)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"OpenSearch did not start: {(self.data / 'stdout').read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it for good; its folder goes, too."""
        if self._process is not None:
            # Its id may be another's by now: a command beside it may have killed and started it.
            pid = self.pid
            os.kill(pid, 15)
            self._process.wait(60)
            self._process = None
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.1)
        shutil.rmtree(self.data, ignore_errors=True)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            os.kill(self.pid, 9)
            self._process.wait(60)
            self._process = None

    def freeze(self) -> None:
        """It takes what it is sent, and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            # What runs it as another user stops with it.
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def beside(command: Sequence[str]) -> int:
    """Run a command with a node beside it; its exit status."""
    node = OpenSearchNode()
    own = {
        "SEARCHSVC_OPENSEARCH_URL": node.url,
        "SEARCHSVC_NODE_PID_FILE": str(node.pid_file),
        "SEARCHSVC_NODE_START": shlex.join(node.command),
    }
    try:
        return subprocess.run(command, env={**os.environ, **own}, check=False).returncode
    finally:
        node.stop()


if __name__ == "__main__":
    fetch()
    sys.exit(beside(sys.argv[1:]) if len(sys.argv) > 1 else 0)
