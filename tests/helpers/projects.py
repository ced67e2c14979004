"""A rendered project's own programs: in an environment of its own, or with the tests' Python."""

import os
import shutil
import subprocess
import sys
import sysconfig
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
    """Give an environment what the tests' own has compiled of the same files.

    To compile SQLAlchemy and pytest anew takes each environment a second. Python compares the time
    and the size of each source, and does it all the same where they differ.
    """
    own = Path(sysconfig.get_path("purelib"))
    for site in environment.glob("[Ll]ib/**/site-packages"):
        for package in site.iterdir():
            for compiled in (own / package.name).rglob("__pycache__"):
                borrowed = site / compiled.relative_to(own)
                if borrowed.parent.is_dir() and not borrowed.exists():
                    shutil.copytree(compiled, borrowed, copy_function=shutil.copy)


class Project:
    """A rendered project with an environment that has only what the project asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder.parent / f"{folder.name}-environment"
        self.bin = self.environment / ("Scripts" if sys.platform == "win32" else "bin")

    def install(self) -> None:
        """Install the project's wheel and nothing but its requirements."""
        run(UV, "venv", "--quiet", "--python", sys.executable, self.environment, cwd=self.folder)
        run(UV, "build", "--quiet", "--wheel", cwd=self.folder)
        [wheel] = (self.folder / "dist").glob("*.whl")
        self.pip_install(wheel)

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
