"""A rendered project's own programs: in an environment of its own, or with the tests' Python."""

import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
from importlib.util import cache_from_source
from pathlib import Path

from helpers.processes import UV, run
from helpers.scripts import SCRIPTS
from helpers.variants import PACKAGE

# A project's code leaves nothing in its folder, and the tests' plugins are not its own.
PYTHON = {
    "PYTHONPATH": "src",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


# Other tests run the first from outside, send Ctrl-C (test_faults) and interrupt a wait for a lock
# (test_migrations).
COVERAGE = """\
[report]
exclude_also =
    if __name__ == "__main__":
    except KeyboardInterrupt:
    raise CommandError
"""


def lend_bytecode(environment: Path) -> None:
    """Give an environment what the tests' own has compiled of the same releases.

    To compile SQLAlchemy and pytest anew takes each environment a second. Python compares the time
    of each source with the one in its bytecode: uv may have fetched the release at another time.
    """
    own = Path(sysconfig.get_path("purelib"))
    for site in environment.glob("[Ll]ib/**/site-packages"):
        for release in site.glob("*.dist-info"):
            record, lent = own / release.name / "RECORD", release / "lent"
            if lent.exists() or not record.exists():
                continue
            for line in record.read_text("utf-8").splitlines():
                source = own / line.partition(",")[0]
                compiled = Path(cache_from_source(source))
                if source.suffix == ".py" and compiled.exists():
                    lend(compiled, site / source.relative_to(own))
            lent.touch()


def lend(compiled: Path, source: Path) -> None:
    """Give a source bytecode of the same text, with the source's own time in it."""
    borrowed = Path(cache_from_source(source))
    if source.exists() and not borrowed.exists():
        code = compiled.read_bytes()
        time = int(source.stat().st_mtime).to_bytes(4, "little")
        borrowed.parent.mkdir(exist_ok=True)
        borrowed.write_bytes(code[:8] + time + code[12:])


class Project:
    """A rendered project with an environment that has only what the project asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder.parent / f"{folder.name}-environment"
        self.bin = self.environment / ("Scripts" if sys.platform == "win32" else "bin")

    def install(self) -> None:
        """Install the project's wheel and nothing but its requirements."""
        run(UV, "venv", "--quiet", "--python", sys.executable, self.environment, cwd=self.folder)
        self.pip_install(self.build())

    def share_environment(self, shelf: Path) -> bool:
        """Install the project as install() does, or only its wheel where another project was.

        Projects that differ only in their API require the same. Return whether the environment is
        new: an older one also has what the tests of its projects need.
        """
        pyproject = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))
        required = repr((pyproject["project"]["dependencies"], pyproject["dependency-groups"]))
        self.environment = shelf / hashlib.sha256(required.encode()).hexdigest()[:16]
        self.bin = self.environment / self.bin.name
        if not self.environment.exists():
            self.install()
            return True
        self.pip_install("--no-deps", "--reinstall", self.build())
        return False

    def build(self) -> Path:
        """Build the project's wheel and return it."""
        run(UV, "build", "--quiet", "--wheel", cwd=self.folder)
        [wheel] = (self.folder / "dist").glob("*.whl")
        return wheel

    def pip_install(self, *requirements: str | Path) -> None:
        """Install more into the environment."""
        python = self.bin / "python"
        run(UV, "pip", "install", "--quiet", "--python", python, *requirements, cwd=self.folder)
        lend_bytecode(self.environment)

    def names(self) -> set[str]:
        """Return what no package can be called beside what is installed in the environment."""
        return set(self.run("python", SCRIPTS / "names.py").stdout.split()) - {PACKAGE}

    def run(
        self, *command: str | Path, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the project's folder."""
        program, *arguments = command
        return run(self.bin / program, *arguments, cwd=self.folder, env=env, check=check)


def run_python(folder: Path, *arguments: str, **env: str) -> str:
    """Run a project's code with the tests' own Python and return what it prints."""
    clean = {name: value for name, value in os.environ.items() if "DATABASE_URL" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=clean | PYTHON | env,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_tests(
    folder: Path, url: str, *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project on a database with the tests' own Python, as Ctrl-C ends them."""
    plugin = (
        ("-p", "pytest_asyncio.plugin")
        if "asyncio" in (folder / "pyproject.toml").read_text()
        else ()
    )
    clean = {
        name: value
        for name, value in os.environ.items()
        if "DATABASE_URL" not in name and name != "PYTEST_ADDOPTS"
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *arguments],
        cwd=cwd or folder,
        env=clean | PYTHON | {"PYTHONPATH": str(folder / "src"), "TEST_DATABASE_URL": url} | env,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def alembic(framework: str, command: str, *arguments: str) -> tuple[str, ...]:
    """Return a command as users of Alembic or of Flask-Migrate type it."""
    if framework == "flask":
        name = {"revision": "migrate"}.get(command, command)
        target = {"downgrade": ["base"]}
        return "flask", "--app", PACKAGE, "db", name, *target.get(command, []), *arguments
    target = {"upgrade": ["head"], "downgrade": ["base"], "revision": ["--autogenerate"]}
    return "alembic", command, *target.get(command, []), *arguments
