"""Database servers of the tests' own, which may be stopped, killed and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from helpers.connections import SECRET, outside
from helpers.databases import create_firebird
from helpers.processes import free_port, server_program, wait_for_port

OWNER = "owner"


def as_nobody(*command: str | Path, output: Path) -> subprocess.Popen[bytes]:
    """Start a program as an unprivileged user, because PostgreSQL does not run as root."""
    user = None if os.geteuid() else "nobody"
    with output.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=output.parent)


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder, as those of pytest are closed to other users and too long for a socket."""
    with TemporaryDirectory(prefix="copier-sqlalchemy-") as name:
        yield Path(name)


def hand_over(folder: Path) -> None:
    """Let the user that servers run as write into a folder and all that is in it."""
    if not os.geteuid():
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody")


class PrivateServer:
    """A server with a password and a port of its own, and all its files in one folder.

    With tls it takes no connection without TLS. With an identity, which is a certificate and its
    authority, it takes both. The authority's own certificate is in the file ca.
    """

    def __init__(
        self,
        drivername: str,
        folder: Path,
        *,
        tls: bool = False,
        identity: tuple[trustme.LeafCert, trustme.CA] | None = None,
    ) -> None:
        port = free_port()
        self.url = URL.create(drivername, OWNER, SECRET, "127.0.0.1", port)
        self.log = folder / "log"
        data = folder / "data"
        secret = folder / "secret"
        self.ca = folder / "ca.pem"
        own = folder / "server.pem"
        if tls:
            authority = trustme.CA()
            identity = authority.issue_cert("127.0.0.1"), authority
        if identity:
            identity[0].private_key_and_cert_chain_pem.write_to_path(own)
            own.chmod(0o600)
            identity[1].cert_pem.write_to_path(self.ca)
        self.setup: list[str | Path]
        self.command: list[str | Path]
        if self.url.get_backend_name() == "postgresql":
            self.url = self.url.set(database="postgres")
            secret.write_text(SECRET)
            postgres = server_program("postgres", "postgresql")
            self.setup = [
                *(Path(postgres).with_name("initdb"), "--no-sync", "--encoding=UTF8"),
                *("--locale=C", f"--username={OWNER}", f"--pwfile={secret}"),
                *("--auth=scram-sha-256", f"--pgdata={data}"),
            ]
            self.command = [
                *(postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1"),
                *("-c", "unix_socket_directories=", "-c", "fsync=off"),
            ]
            if tls:
                clients = folder / "clients"
                clients.write_text("hostssl all all all scram-sha-256\n")
                self.command += ["-c", f"hba_file={clients}"]
            if identity:
                self.command += ["-c", "ssl=on", "-c", f"ssl_ca_file={self.ca}"]
                self.command += ["-c", f"ssl_cert_file={own}", "-c", f"ssl_key_file={own}"]
            # Not SIGKILL: it would leave the processes of the connections alone.
            self.crash_signal = signal.SIGQUIT
            self.stop_signal = signal.SIGINT
        else:
            secret.write_text(
                f"CREATE USER IF NOT EXISTS {OWNER} IDENTIFIED BY '{SECRET}';\n"
                f"GRANT ALL ON *.* TO {OWNER};\n"
            )
            self.setup = [
                *(server_program("mariadb-install-db", "mariadb-server-core"), "--no-defaults"),
                *("--skip-test-db", "--auth-root-authentication-method=normal"),
                *(f"--datadir={data}", f"--tmpdir={folder}"),
            ]
            self.command = [
                *(server_program("mariadbd", "mariadb-server-core"), "--no-defaults"),
                *(f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1"),
                *(f"--socket={folder / 'socket'}", f"--init-file={secret}"),
                # In a folder that they share, one server removes the tables of another.
                *("--skip-name-resolve", f"--tmpdir={folder}"),
            ]
            if tls:
                self.command += ["--require-secure-transport=ON"]
            if identity:
                self.command += [f"--ssl-ca={self.ca}"]
                self.command += [f"--ssl-cert={own}", f"--ssl-key={own}"]
            self.crash_signal = signal.SIGKILL
            self.stop_signal = signal.SIGTERM

    def install(self) -> None:
        """Make the server's files."""
        if as_nobody(*self.setup, output=self.log).wait(timeout=120):
            raise AssertionError(self.log.read_text())

    def start(self) -> None:
        """Start, and wait until the server takes connections."""
        self.process = as_nobody(*self.command, output=self.log)
        for _ in range(600):
            try:
                with outside(self.url):
                    return
            except OperationalError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        """Stop in good order, even if clients are connected."""
        self.process.send_signal(self.stop_signal)
        self.process.wait(timeout=60)

    def crash(self) -> None:
        """End at once, as when memory runs out."""
        self.process.send_signal(self.crash_signal)
        self.process.wait(timeout=60)

    def new_database(self, name: str) -> URL:
        """Create a database."""
        with outside(self.url) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self.url.set(database=name)


@contextmanager
def private_server(
    drivername: str,
    *,
    tls: bool = False,
    identity: tuple[trustme.LeafCert, trustme.CA] | None = None,
) -> Iterator[PrivateServer]:
    """Start a server that nobody else uses, and stop it at the end of the block."""
    with server_folder() as folder:
        server = PrivateServer(drivername, folder, tls=tls, identity=identity)
        hand_over(folder)
        server.install()
        server.start()
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.crash()


@contextmanager
def private_firebird() -> Iterator[URL]:
    """Start a Firebird with one empty database, in which its user is as well."""
    program = server_program("firebird", "firebird3.0-server")
    with server_folder() as folder:
        port, file, log = free_port(), folder / "app.fdb", folder / "log"
        (folder / "firebird.conf").write_text(
            f"RemoteBindAddress = 127.0.0.1\nRemoteServicePort = {port}\n"
            f"SecurityDatabase = {file}\n"
        )
        places = {"FIREBIRD": str(folder), "FIREBIRD_LOCK": str(folder)}
        create_firebird(file, SECRET, **places)
        hand_over(folder)
        settings = [f"{name}={place}" for name, place in places.items()]
        process = as_nobody("env", *settings, program, output=log)
        try:
            wait_for_port(port, process, log)
            query = {"charset": "UTF8"}
            yield URL.create(
                "firebird+firebird", "SYSDBA", SECRET, "127.0.0.1", port, file.as_posix(), query
            )
        finally:
            # Asked to end, it may wait for a client that is gone.
            process.kill()
            process.wait(timeout=60)
