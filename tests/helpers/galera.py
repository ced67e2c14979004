"""A MariaDB Galera cluster of three nodes on this machine, on free ports and without a trace after.

By hand, uv run --directory tests -m helpers.galera starts one, prints the URL of each node and
waits for Enter.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import OperationalError

from helpers.connections import outside
from helpers.modes import missing
from helpers.private_servers import PrivateServer, hand_over, server_folder
from helpers.processes import free_port, server_program

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
SECONDS = 60


class Node(PrivateServer):
    """One server of the cluster, which can be killed and brought back."""

    def __init__(self, folder: Path, provider: Path) -> None:
        (folder / "data").mkdir(parents=True)
        super().__init__("mysql+pymysql", folder)
        self.group = f"127.0.0.1:{free_port()}"
        options = {
            "gmcast.listen_addr": f"tcp://{self.group}",
            "ist.recv_addr": f"127.0.0.1:{free_port()}",
            # A node that dies is missed sooner than after Galera's five seconds.
            "evs.keepalive_period": "PT0.5S",
            "evs.suspect_timeout": "PT2S",
            "evs.inactive_timeout": "PT6S",
        }
        self.together = [
            # The owner is there, and Galera would make every node add it again.
            *(part for part in self.command if not str(part).startswith("--init-file")),
            *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON"),
            *(f"--wsrep-provider={provider}", f"--wsrep-node-address={self.group}"),
            *("--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}"),
            f"--wsrep-provider-options={';'.join(f'{key}={options[key]}' for key in options)}",
        ]

    def join(self, *members: "Node") -> None:
        """Start as a part of the members' cluster, or as the first of a new one."""
        groups = ",".join(member.group for member in members)
        self.command = [*self.together, f"--wsrep-cluster-address=gcomm://{groups}"]
        self.start()
        self.wait(len(members) + 1)

    def status(self, name: str) -> str:
        """Return what the node says of itself under a name such as wsrep_cluster_size."""
        with outside(self.url) as connection:
            rows = connection.exec_driver_sql(f"SHOW STATUS LIKE '{name}'").all()
        return str(rows[0][1]) if rows else ""

    def wait(self, size: int) -> None:
        """Wait until the node takes part in a cluster of that size."""
        end = time.monotonic() + SECONDS
        state = ("", "")
        while state != ("Synced", str(size)):
            assert time.monotonic() < end, f"{state}\n{self.log.read_text()}"
            time.sleep(0.1)
            try:
                state = self.status("wsrep_local_state_comment"), self.status("wsrep_cluster_size")
            except OperationalError:
                state = ("", "")


@contextmanager
def galera_cluster() -> Iterator[list[Node]]:
    """Start three nodes that nobody else uses, and end them at the end of the block."""
    provider = next((path for path in map(Path, PROVIDERS) if path.exists()), None)
    if provider is None:
        missing("Galera is not installed. Debian and Ubuntu have it in the package galera-4.")
    server_program("wsrep_sst_rsync", "mariadb-server")
    with server_folder() as folder:
        nodes = [Node(folder / str(number), provider) for number in range(3)]
        hand_over(folder)
        first = nodes[0]
        first.install()
        first.start()
        first.stop()
        try:
            for number, node in enumerate(nodes):
                node.join(*nodes[:number])
            yield nodes
        finally:
            for node in nodes:
                if hasattr(node, "process") and node.process.poll() is None:
                    node.crash()


def main() -> None:
    """Keep a cluster until somebody presses Enter."""
    with galera_cluster() as nodes:
        for node in nodes:
            print(node.url.render_as_string(hide_password=False))
        input("Enter ends the cluster. ")


if __name__ == "__main__":
    main()
