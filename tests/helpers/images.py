"""Container images, built and run: by Docker where it answers, by podman without a registry.

podman's base images are made here: Debian with its own Python, and uv's binary. They have the
certificates and the index of this machine, so that nothing else of a project's image has.
"""

import os
import re
import secrets
import shutil
import ssl
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from helpers.modes import missing
from helpers.processes import UV, run

HELP = (
    "No image can be built here: Docker does not answer, and without it this needs root and, on "
    "Debian and Ubuntu, the packages debootstrap, podman and runc. Missing: {}."
)
# Nothing can be written but to volumes, and root has no rights.
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host")


@dataclass
class Engine:
    """A container engine: its program, and what podman needs where nothing is set up for it."""

    program: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    build: tuple[str, ...] = ("build",)
    hardened: tuple[str, ...] = HARDENED

    def __call__(self, *words: str | Path, **env: str) -> str:
        """Run a command of the engine, and return what it and the container print."""
        done = run(self.program, *words, cwd=self.folder, env=self.env | env)
        return f"{done.stdout}{done.stderr}"


@dataclass(frozen=True)
class Container:
    """A container that runs by itself."""

    engine: Engine
    name: str

    def inspect(self, key: str) -> str:
        """Return a fact of the container, as the engine's own template language finds it."""
        return self.engine("container", "inspect", f"--format={{{{{key}}}}}", self.name).strip()

    def succeeds(self, *command: str) -> bool:
        """Tell whether a command in the container ends well."""
        done = run(
            *(self.engine.program, "exec", self.name, *command),
            cwd=self.engine.folder,
            env=self.engine.env,
            check=False,
        )
        return done.returncode == 0

    def log(self) -> str:
        """Return what the container has printed."""
        return self.engine("logs", self.name)

    def stop(self) -> int:
        """Stop it as a platform does, and return the exit code: 137 where it had to be killed."""
        self.engine("stop", "--time=20", self.name)
        return int(self.inspect(".State.ExitCode"))


@dataclass(frozen=True)
class Image:
    """The image of a project."""

    engine: Engine
    name: str
    project: Path

    @property
    def services(self) -> dict[str, Any]:
        """What compose.yaml starts."""
        text = (self.project / "compose.yaml").read_text()
        services: dict[str, Any] = yaml.safe_load(text)["services"]
        return services

    def options(self, url: str) -> list[str]:
        """Return how a container is run: with a volume where compose.yaml names one."""
        volume = ("--volume", f"{self.name}:/data") if "volumes" in self.services["app"] else ()
        return [*self.engine.hardened, *volume, *(("--env=DATABASE_URL",) if url else ())]

    def run(
        self, url: str, *words: str, entrypoint: str = "", user: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        own = [f"--entrypoint={entrypoint}"] if entrypoint else []
        own += [f"--user={user}"] if user else []
        command = ("run", "--rm", *self.options(url), *own, self.name, *words)
        env = self.engine.env | {"DATABASE_URL": url}
        return run(self.engine.program, *command, cwd=self.project, env=env, check=False)

    @contextmanager
    def start(self, url: str, **env: str) -> Iterator[Container]:
        """Start a container, and remove it at the end of the block."""
        name = f"{self.name}-{secrets.token_hex(4)}"
        passed = [f"--env={variable}" for variable in env]
        command = ("run", "--detach", f"--name={name}", *self.options(url), *passed, self.name)
        self.engine(*command, DATABASE_URL=url, **env)
        try:
            yield Container(self.engine, name)
        finally:
            self.engine("rm", "--force", name)


def make_base(engine: Engine, tag: str) -> None:
    """Make an image with a tag that a Dockerfile names, in the place of the registry's."""
    archive = engine.folder / "base.tar"
    changes = []
    if "/uv:" in tag:
        with tarfile.open(archive, "w") as packed:
            packed.add(Path(UV).resolve(), "uv")
    else:
        root = engine.folder / "root"
        suite = tag.rpartition("-")[2]
        packages = "--include=ca-certificates,python3,python3-dev"
        run("debootstrap", "--variant=minbase", packages, suite, root, cwd=engine.folder)
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        certificates = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        if certificates:
            shutil.copy(certificates, root / "etc/ssl/certs/ca-certificates.crt")
            changes += ["--change=ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]
        # The machine's own settings of uv, where it has any.
        if index := os.environ.get("UV_DEFAULT_INDEX"):
            changes += [f"--change=ENV UV_DEFAULT_INDEX={index}"]
        for own in (Path("/etc/uv/uv.toml"), Path.home() / ".config/uv/uv.toml"):
            if own.exists():
                (root / "etc/uv").mkdir(exist_ok=True)
                shutil.copy(own, root / "etc/uv/uv.toml")
        # As in the registry's images, apt keeps nothing that it has downloaded or indexed.
        (root / "etc/apt/apt.conf.d/docker-clean").write_text(
            'APT::Keep-Downloaded-Packages "false";\n'
            'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
        )
        for path in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / path)
        run("tar", "-C", root, "-cf", archive, ".", cwd=engine.folder)
        shutil.rmtree(root)
    engine("import", "--quiet", *changes, archive, tag)
    archive.unlink()


@contextmanager
def own_podman() -> Iterator[Engine]:
    """Let podman work where no service and no registry is set up, and leave nothing of it."""
    programs = ("debootstrap", "podman", "runc")
    lacking = [program for program in programs if shutil.which(program) is None]
    lacking += ["root"] * bool(os.geteuid())
    if lacking:
        missing(HELP.format(", ".join(lacking)))
    with TemporaryDirectory(prefix="copier-sqlalchemy-") as name:
        folder = Path(name)
        # podman's own limits are higher, and not everyone who is root may raise one.
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
        )
        engine = Engine(
            "podman",
            folder,
            {
                "CONTAINERS_CONF": f"{folder}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
                "TMPDIR": name,
            },
            ("build", "--isolation=chroot", "--layers=false", "--pull=never"),
            # podman's own makes /tmp of such a container writable.
            (*HARDENED, "--read-only-tmpfs=false"),
        )
        # Layers that share their files take a third of the time; vfs copies them, and works always.
        for driver in ("overlay", "vfs"):
            (folder / "storage.conf").write_text(
                f'[storage]\ndriver = "{driver}"\n'
                f'graphroot = "{folder}/{driver}"\nrunroot = "{folder}/run"\n'
            )
            found = run("podman", "info", cwd=folder, env=engine.env, check=False)
            if not found.returncode:
                break
        else:
            missing(f"podman does not work here: {found.stderr}")
        yield engine
        engine("rm", "--all", "--force")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Docker, or podman with base images of our own, or a skip that says what is missing."""
    docker = Engine("docker", tmp_path_factory.mktemp("docker"), {"DOCKER_BUILDKIT": "1"})
    if (
        shutil.which("docker")
        and not run("docker", "info", cwd=docker.folder, check=False).returncode
    ):
        yield docker
        return
    with own_podman() as podman:
        yield podman


@contextmanager
def build(engine: Engine, project: Path) -> Iterator[Image]:
    """Build the image of a project, and remove it at the end of the block."""
    name = f"copier-sqlalchemy-{secrets.token_hex(4)}"
    if engine.program == "podman":
        named = re.findall(
            r"(?:^FROM |--from=)(\S+:\S+)", (project / "Dockerfile").read_text(), re.MULTILINE
        )
        for tag in sorted({*named}):
            if not engine("images", "--quiet", tag).strip():
                make_base(engine, tag)
    engine(*engine.build, f"--tag={name}", project)
    try:
        yield Image(engine, name, project)
    finally:
        engine("rmi", "--force", name)
        engine("volume", "rm", "--force", name)
