"""The extras: what each adds, alone and beside the others, and that it does what it says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from pytest_copie.plugin import Copie
from sqlalchemy import make_url

from helpers.answers import SETS, WITH_EXTRAS
from helpers.databases import NewDatabase
from helpers.files import check_form, files, replace, tree
from helpers.git import BRANCH, IDENTITY, commit_all, git, track
from helpers.modes import ALL, sample
from helpers.processes import UV, run
from helpers.projects import alembic
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.updates import copy, update
from helpers.variants import (
    BARE,
    DISTRIBUTION,
    DRIVERS,
    EXTRAS,
    FRAMEWORKS,
    PACKAGE,
    PROJECT_NAME,
    sample_url,
)

Extras = tuple[str, ...]

OWNED = {
    "devcontainer": {".devcontainer/devcontainer.json"},
    "docker": {".dockerignore", "Dockerfile", "compose.yaml"},
    "github": {".github/dependabot.yml", ".github/workflows/ci.yml"},
    "gitlab": {".gitlab-ci.yml"},
    "pre-commit": {".pre-commit-config.yaml"},
}
# These are other files where there is another extra, too.
CHANGED = {
    "docker": "migrations",
    "github": "pre-commit",
    "gitlab": "pre-commit",
    "pre-commit": "migrations",
}
# Words that only a project with the extra has, outside of its answers.
FOREIGN = {
    "migrations": r"(?i)alembic|migrat",
    "devcontainer": r"devcontainer|containers\.dev",
    "docker": r"docker compose|Dockerfile|DB_PASSWORD|gunicorn",
    "github": r"GitHub|\.github(?!\.io/)|actions/",
    "gitlab": r"GitLab|\.gitlab|\bCI_",
    "pre-commit": r"pre-commit|detect-secrets",
}
# Copier writes the lists of its own file without an indentation.
YAMLLINT = (
    "{extends: default, ignore: [.copier-answers.yml],"
    " rules: {comments: {min-spaces-from-content: 1}, document-start: disable,"
    " line-length: {allow-non-breakable-inline-mappings: true, max: 120},"
    " truthy: {check-keys: false}}}"
)
# The answers, and what every project has and an extra adds lines to.
SHARED = {".copier-answers.yml", ".env.example", ".gitignore", "README.md", "pyproject.toml"}
# Where a server takes anyone: who asks, and the variable with the name of the database.
OPEN = {
    "cockroachdb": ("root", "COCKROACH_DATABASE"),
    "mariadb": ("root", "MARIADB_DATABASE"),
    "mysql": ("root", "MYSQL_DATABASE"),
    "postgresql": ("app", "POSTGRES_DB"),
}
# If a server needs a password: its user, and the folder of the data.
GUARDED = {
    "firebird": ("app", "/var/lib/firebird/data"),
    "mariadb": ("app", "/var/lib/mysql"),
    "mssql": ("sa", "/var/opt/mssql"),
    "mysql": ("app", "/var/lib/mysql"),
    "oracle": ("app", "/opt/oracle/oradata"),
    "postgresql": ("app", "/var/lib/postgresql"),
}
# https://containers.dev/implementors/json_reference/
COMPOSE = {"dockerComposeFile", "service", "workspaceFolder"}
IMAGE = {"containerEnv", "image"}
PROPERTIES = {"customizations", "forwardPorts", "name", "postCreateCommand"}
SHELL = pytest.mark.skipif(sys.platform == "win32", reason="A runner's shell is a POSIX one.")
PAIRS: list[Extras] = list(combinations(EXTRAS, 2))


def changing(variant: str) -> Extras:
    """Return the extras that change a variant's program; the others only add files."""
    # The server of the image is installed with the project that has a page.
    return ("migrations", *(("docker",) if "flask" in variant else ()), "pre-commit")


def cases(variant: str) -> list[Extras]:
    """Return the extras of a variant's projects: none, each, all, and pairs."""
    alone: list[Extras] = [(extra,) for extra in EXTRAS]
    # Each pair in one of the variants, or every pair in every one.
    pairs = PAIRS if ALL else PAIRS[WITH_EXTRAS.index(variant) :: len(WITH_EXTRAS)]
    changed = [ordered(*pair) for pair in CHANGED.items()]
    more = [changing(variant), tuple(EXTRAS)]
    return list(dict.fromkeys([(), *alone, *pairs, *changed, *more]))


def ordered(*extras: str) -> Extras:
    """Return the extras in the order of the question."""
    return tuple(sorted(extras, key=EXTRAS.index))


def owned(variant: str, extra: str) -> set[str]:
    """Return the files that an extra adds to a variant, but for what migrations are made of."""
    compose = {".devcontainer/compose.yaml"} if "sqlite" not in variant else set()
    return OWNED.get(extra, set()) | (compose if extra == "devcontainer" else set())


def programs() -> list[tuple[str, Extras]]:
    """Return each program that a variant has with one extra or two; all have tests of their own."""
    alone = [(variant, (extra,)) for variant in WITH_EXTRAS for extra in changing(variant)]
    pairs = [
        (variant, pair) for variant in WITH_EXTRAS for pair in combinations(changing(variant), 2)
    ]
    one_of_each = {variant.split("-")[1]: (variant, pair) for variant, pair in reversed(pairs)}
    return [*alone, *pairs] if ALL else list(one_of_each.values())


@pytest.mark.parametrize("variant", WITH_EXTRAS)
def test_an_extra_adds_its_own_files_and_leaves_the_others_alone(
    variant: str, copie: Copie, template: Path, tmp_path: Path
) -> None:
    projects = {
        extras: project_of(copie.copy(SETS[variant] | {"extras": list(extras)}, template))
        for extras in cases(variant)
    }
    contents = {extras: files(folder) for extras, folder in projects.items()}
    for extras, folder in projects.items():
        # Migrations change how the tables are made, and are tested with them; the others do not.
        plain = contents[("migrations",) if "migrations" in extras else ()]
        found = dict(contents[extras])
        new = set().union(*(owned(variant, extra) for extra in extras))
        assert found.keys() - plain.keys() == new, extras
        assert {name for name in plain if found[name] != plain[name]} <= SHARED, extras
        # What is true of a program is true of it beside any other files, and theirs are the same.
        program = tuple(extra for extra in extras if extra in changing(variant))
        assert found["pyproject.toml"] == contents[program]["pyproject.toml"], extras
        for extra in extras:
            other = CHANGED.get(extra)
            alone = contents[ordered(extra, other) if other in extras else (extra,)]
            for name in owned(variant, extra):
                assert found[name] == alone[name], (name, extras)
        check_form(folder)
        answers = found.pop(".copier-answers.yml")
        assert yaml.safe_load(answers)["extras"] == list(extras)
        text = "\n".join(content.decode() for content in found.values())
        for extra, words in FOREIGN.items():
            assert bool(re.search(words, text)) == (extra in extras), (extra, extras)

    tools = Path(sys.executable).parent
    run(tools / "ruff", "check", "--no-cache", cwd=tmp_path)
    run(tools / "ruff", "format", "--check", "--no-cache", cwd=tmp_path)
    run(tools / "yamllint", "--strict", "--config-data", YAMLLINT, ".", cwd=tmp_path)


class Checkout:
    """A project of a test's own in git, with an environment that it shares with others."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = track(folder)
        self.env = IDENTITY | {
            "PATH": f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}",
            "MYPY_CACHE_DIR": str(environment.with_name("mypy")),
            "UV_PROJECT_ENVIRONMENT": str(environment),
        }

    def run(self, *command: str, env: dict[str, str] | None = None, check: bool = True) -> str:
        """Run a program in the project, and return what it printed."""
        done = run(*command, cwd=self.folder, env=self.env | (env or {}), check=check)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which uv installs one project after the other."""
    return tmp_path_factory.mktemp("uv") / "environment"


@pytest.fixture
def check_out(copie: Copie, template: Path, environment: Path) -> Callable[..., Checkout]:
    """Make a project of a test's own, with all extras or the given ones."""

    def check_out(variant: str, *extras: str) -> Checkout:
        answers = SETS[variant] | {"extras": list(extras or EXTRAS)}
        checkout = Checkout(project_of(copie.copy(answers, template)), environment)
        # uv run would leave there what only the project before requires.
        checkout.run("uv", "sync", "--quiet")
        return checkout

    return check_out


SCHEMAS = {
    "vendor.compose-spec": "**/compose.yaml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.github-workflows": ".github/workflows/ci.yml",
    "vendor.gitlab-ci": ".gitlab-ci.yml",
}
# One driver of every database, and every one that needs a package of the system.
DRIVERNAMES = [
    name
    for name, row in DRIVERS.items()
    if "system" in row or name in {*BARE.values(), "duckdb", "sqlite", "sqlite+pysqlcipher"}
]


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a file with every value as the text that stands there."""
    content: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)
    return content


def check_services(drivername: str, project: Path) -> None:
    """Check that the tests of the workflows find the service that the workflows start."""
    github = read_yaml(project / ".github/workflows/ci.yml")["jobs"]["test"]
    gitlab = read_yaml(project / ".gitlab-ci.yml")["test"]
    [step] = [step for step in github["steps"] if step["name"] == "Test"]
    backend = drivername.partition("+")[0]
    if backend not in OPEN or backend == "postgresql":
        # The tests make a file themselves, or start a server.
        assert "services" not in github | gitlab
        settings = (step.get("env", {}), gitlab.get("variables", {}))
        urls = {variables.get("TEST_DATABASE_URL") for variables in settings}
        assert urls == {"duckdb:///test.duckdb" if backend == "duckdb" else None}
        return
    user, database = OPEN[backend]
    service = github["services"]["database"]
    [gitlab_service] = gitlab["services"]
    assert service["image"] == gitlab_service["name"]
    assert service["env"] == gitlab_service["variables"]
    assert service["env"][database] == "app"
    assert not any("PASSWORD" in name and "EMPTY" not in name for name in service["env"])
    [port] = service["ports"]
    assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    on_runner = make_url(step["env"]["TEST_DATABASE_URL"])
    on_gitlab = make_url(gitlab["variables"]["TEST_DATABASE_URL"])
    assert (on_runner.host, on_gitlab.host) == ("127.0.0.1", gitlab_service["alias"])
    for url in (on_runner, on_gitlab):
        assert (url.drivername, url.username, url.password) == (drivername, user, None)
        assert url.database == "app"
        assert port.endswith(f":{url.port or url.query['port']}")


def check_rights(project: Path) -> None:
    """Check that the workflow may read the project and that its steps cannot do more."""
    workflow = read_yaml(project / ".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        [checkout] = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert checkout["with"]["persist-credentials"] == "false"


def check_pushes(project: Path) -> None:
    """Check that every push starts the workflows, whatever git init has called the branch."""
    github = read_yaml(project / ".github/workflows/ci.yml")
    assert github["on"]["push"] == github["on"]["pull_request"] == ""
    # Only GitHub evaluates this: of pull requests, those from forks were not pushed here.
    own = "github.event_name != 'pull_request' || github.event.pull_request.head.repo.fork"
    assert {job["if"] for job in github["jobs"].values()} == {own}
    rules = read_yaml(project / ".gitlab-ci.yml")["workflow"]["rules"]
    assert rules[-1] == {"if": "$CI_COMMIT_BRANCH"}
    # But for the pushes that a pipeline of a merge request checks.
    merge, *others = rules[:-1]
    assert merge == {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}
    assert others == [{"if": "$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS", "when": "never"}]


def check_downloads(project: Path) -> None:
    """Check that the workflows keep what uv downloads, and that a bot raises what it locks."""
    github = read_yaml(project / ".github/workflows/ci.yml")
    # What pip cache dir prints there, and setup-python keeps.
    assert github["env"]["UV_CACHE_DIR"].startswith("/home/runner/.cache/pip/")
    for job in github["jobs"].values():
        [setup] = [step for step in job["steps"] if "setup-python" in step.get("uses", "")]
        assert setup["with"]["cache"] == "pip"
    gitlab = read_yaml(project / ".gitlab-ci.yml")
    [kept] = gitlab["default"]["cache"]["paths"]
    assert gitlab["variables"]["UV_CACHE_DIR"].startswith(f"$CI_PROJECT_DIR/{kept}")
    updates = read_yaml(project / ".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "uv"}


def interpolate(text: str, env: dict[str, str]) -> str:
    """Return the text with its variables as docker compose fills them in."""

    def fill(match: re.Match[str]) -> str:
        name, reason = match.groups()
        if reason and not env.get(name):
            raise LookupError(reason)
        return env.get(name, "")

    return re.sub(r"\$\{(\w+)(?::\?([^}]*))?\}", fill, text)


def check_compose(drivername: str, project: Path) -> None:
    """Check that the containers find each other and the password, which git does not have."""
    backend = drivername.partition("+")[0]
    text = (project / "compose.yaml").read_text()
    compose = yaml.safe_load(interpolate(text, {"DB_PASSWORD": "s3cret", "DATABASE_URL": "x://"}))
    app, database = compose["services"]["app"], compose["services"].get("database")
    assert all(port.startswith("127.0.0.1:") for port in app.get("ports", []))
    url = make_url(app["environment"]["DATABASE_URL"])
    if "migrate" in compose["services"]:
        migrate = compose["services"]["migrate"]
        assert app["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert migrate["environment"] == app["environment"]
        assert migrate.get("volumes") == app.get("volumes")
    if backend in {"sqlite", "duckdb"}:
        assert database is None
        assert app["volumes"] == ["database:/data"]
        assert Path(url.database or "").parent == Path("/data")
        assert compose["volumes"] == {"database": None}
    elif backend in GUARDED:
        user, volume = GUARDED[backend]
        first = compose["services"].get("migrate", app)
        assert first["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert (url.drivername, url.host) == (drivername, "database")
        assert (url.username, url.password) == (user, "s3cret")
        assert "s3cret" in database["environment"].values()
        assert database["volumes"] == [f"database:{volume}"]
        assert compose["volumes"] == {"database": None}
        assert database["healthcheck"]["test"][0] == "CMD"
        assert "ports" not in database
    else:
        assert url == make_url("x://")
        assert "volumes" not in compose | app
    if "${" in text:
        with pytest.raises(LookupError, match=r"Write \w+=\.\.\. into \.env"):
            interpolate(text, {})
        assert ".env" in (project / ".gitignore").read_text().splitlines()
        variables = set(re.findall(r"\$\{(\w+)", text))
        example = (project / ".env.example").read_text()
        assert all(f"\n{variable}=" in example for variable in variables)
        readme = (project / "README.md").read_text()
        assert all(variable in readme for variable in variables)


def check_devcontainer(drivername: str, project: Path) -> None:
    """Check that the workspace opens with a database for the project and one for its tests.

    PostgreSQL's start one themselves.
    """
    text = (project / ".devcontainer/devcontainer.json").read_text()
    config = json.loads(text)
    assert json.dumps(config, indent=2) + "\n" == text
    # No package has the schema. It would see a property that is misspelled, that the way in which
    # the container is made asks for, or that belongs to the other way.
    way = COMPOSE if "dockerComposeFile" in config else IMAGE
    assert way <= config.keys() <= way | PROPERTIES
    # The port of the page, where there is one, is the one that the README names.
    ports = re.findall(r"http://127\.0\.0\.1:(5\d+)", (project / "README.md").read_text())
    assert config.get("forwardPorts", []) == [int(port) for port in ports]
    assert config["postCreateCommand"].endswith("pip install 'uv>=0.13,<0.14' && uv sync")
    needed = DRIVERS[drivername].get("system", {}).get("Debian or Ubuntu", "")
    assert all(word in config["postCreateCommand"] for word in needed.split()[2:])
    backend = drivername.partition("+")[0]
    if backend not in OPEN:
        assert "dockerComposeFile" not in config
        env = config["containerEnv"]
        assert ("TEST_DATABASE_URL" in env) == (backend == "duckdb")
        assert not (project / ".devcontainer/compose.yaml").exists()
    else:
        user, variable = OPEN[backend]
        compose = yaml.safe_load(
            (project / ".devcontainer" / config["dockerComposeFile"]).read_text()
        )
        workspace = compose["services"].pop(config["service"])
        assert workspace["volumes"] == [f"..:{config['workspaceFolder']}"]
        env = workspace["environment"]
        healthy = {"condition": "service_healthy"}
        assert workspace["depends_on"] == dict.fromkeys(compose["services"], healthy)
        urls = [make_url(url) for name, url in env.items() if "DATABASE_URL" in name]
        assert len(urls) == (1 if backend == "postgresql" else 2)
        assert [url.host for url in urls] == list(compose["services"])
        for url, database in zip(urls, compose["services"].values(), strict=True):
            assert (url.drivername, url.username, url.password) == (drivername, user, None)
            assert url.database == database["environment"][variable] == "app"
            assert "ports" not in database
        # What the tests drop is nowhere on a disk.
        if backend != "postgresql":
            assert compose["services"]["test-database"]["volumes"] == []
    interpreter = config["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == f"{env['UV_PROJECT_ENVIRONMENT']}/bin/python"


def test_every_database_has_files_that_follow_their_schemas(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    actions = re.findall("uses: .+", (ROOT / ".github/workflows/ci.yml").read_text())
    projects = []
    for number, name in enumerate(DRIVERNAMES):
        framework = "plain" if "flask" in DRIVERS[name] else FRAMEWORKS[number % 2]
        answers = {
            "project_name": PROJECT_NAME,
            "framework": framework,
            "database_url": sample_url(name),
            "extras": [extra for extra in EXTRAS if extra not in DRIVERS[name]],
        }
        project = project_of(copie.copy(answers, template))
        projects.append(project)
        check_form(project)
        check_services(name, project)
        check_rights(project)
        check_pushes(project)
        check_downloads(project)
        check_compose(name, project)
        check_devcontainer(name, project)
        # The commits of actions that this repository uses itself.
        workflow = (project / ".github/workflows/ci.yml").read_text()
        assert set(re.findall("uses: .+", workflow)) <= set(actions)

    tools = Path(sys.executable).parent
    for schema, name in SCHEMAS.items():
        paths = [path for project in projects for path in project.glob(name)]
        run(tools / "check-jsonschema", "--builtin-schema", schema, *paths, cwd=tmp_path)
    run(tools / "yamllint", "--strict", "--config-data", YAMLLINT, ".", cwd=tmp_path)
    dockerfiles = [project / "Dockerfile" for project in projects]
    if sys.platform != "win32":
        # Debian keeps one version of a package: to name it would break the next build.
        run(tools / "hadolint", "--ignore", "DL3008", *dockerfiles, cwd=tmp_path)
    workflows = [project / ".github" for project in projects]
    offline = ("--offline", "--strict-collection", "--no-config")
    run(tools / "zizmor", *offline, *workflows, cwd=tmp_path)


@pytest.mark.skipif(
    sys.platform == "win32" or bool(os.geteuid()), reason="Only root can be others."
)
def test_the_volume_can_be_written_by_another_user_of_group_0(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    answers = {"project_name": "hello", "extras": ["docker"]}
    dockerfile = (project_of(copie.copy(answers, template)) / "Dockerfile").read_text()
    [command] = re.findall(r"install --directory .+ /data$", dockerfile, re.MULTILINE)
    # The folders of pytest are closed to other users.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        command = command.replace("--owner app", "--owner nobody").replace("/data", f"{name}/data")
        run("bash", "-c", command, cwd=tmp_path)
        for user, group, code in (("nobody", 65534, 0), (12345, 0, 0), (12345, 12345, 1)):
            touch = ("touch", f"{name}/data/{user}-{group}")
            done = subprocess.run(
                touch, user=user, group=group, extra_groups=[], check=False, capture_output=True
            )
            assert done.returncode == code, done.stderr


def commands(project: Path) -> dict[str, dict[str, str]]:
    """Return what the workflows run, and with which variables, each command once."""
    jobs = read_yaml(project / ".github/workflows/ci.yml")["jobs"].values()
    found = {
        step["run"]: step.get("env", {}) for job in jobs for step in job["steps"] if "run" in step
    }
    gitlab = read_yaml(project / ".gitlab-ci.yml")
    found |= {
        line: gitlab[job].get("variables", {})
        for job in ("lint", "test")
        for line in gitlab[job]["script"]
    }
    return found


@pytest.mark.parametrize(
    ("variant", "extras"),
    sample(programs()[::-1], 2),
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_project_with_extras_is_typed_and_runs(
    variant: str,
    extras: Extras,
    check_out: Callable[..., Checkout],
    new_database: NewDatabase,
    tmp_path: Path,
) -> None:
    checkout = check_out(variant, *extras)
    _, framework, drivername = variant.split("-")
    url, test_url = (new_database(drivername).render_as_string(hide_password=False) for _ in "12")
    env = {"DATABASE_URL": url, "PRE_COMMIT_HOME": str(tmp_path / "home")}
    uv_run = ("uv", "run", "--quiet")
    if "migrations" in extras:
        upgrade = alembic(framework, "upgrade")
        checkout.run(*uv_run, *upgrade, env=env)
        # A number as Alembic makes it, which looks like a key.
        revision = ("--rev-id", "1065981bfc42", "--message", "Nothing yet")
        checkout.run(*uv_run, *alembic(framework, "revision"), *revision, env=env)
        checkout.run(*uv_run, *upgrade, env=env)
    assert checkout.run(*uv_run, DISTRIBUTION, env=env) == "Hello, World!\n"
    if "pre-commit" in extras:
        # A source of uv in git: its commit looks like a key, but a token in its URL is one.
        commit = 'rev = "9c5ab1f4b9ee4ee1d3b3b8f4d9f6d3b4f3b1a8c5"'
        source = f'idna = {{ git = "https://github.com/kjd/idna", {commit} }}\n'
        (checkout.folder / "sources.toml").write_text(f"{source}[other]\n{commit}\n")
        git(checkout.folder, "add", "--all")
        printed = checkout.run(*uv_run, "pre-commit", "run", "--all-files", env=env)
        assert re.search(r"^mypy\.+Passed$", printed, re.MULTILINE)
        leak = source.replace("://", "://user:t0k3n@")
        (checkout.folder / "leak.toml").write_text(f'{leak}{commit.replace("rev", "key")[:-2]}"\n')
        git(checkout.folder, "add", "--all")
        scan = ("pre-commit", "run", "detect-secrets", "--all-files")
        printed = checkout.run(*uv_run, *scan, env=env, check=False)
        assert set(re.findall(r"^Location: +(.+)$", printed, re.MULTILINE)) == {
            "leak.toml:1",
            "leak.toml:2",
        }
    if "docker" in extras:
        dockerfile = (checkout.folder / "Dockerfile").read_text()
        [command] = re.findall(r"^CMD (\[.+\])$", dockerfile, re.MULTILINE)
        checkout.run(*uv_run, *json.loads(command), "--check-config", env=env)
    # The tools and the server add no line of Python, and the tests of all extras have run there.
    if not {"docker", "pre-commit"} & {*extras}:
        checkout.run(*uv_run, "mypy")
        printed = checkout.run(*uv_run, "pytest", env={"TEST_DATABASE_URL": test_url})
        assert re.search(r"\d+ passed", printed)
        assert "skipped" not in printed


@pytest.mark.parametrize("variant", sample(WITH_EXTRAS, 4))
def test_an_extra_is_switched_on_and_off(
    variant: str,
    repository: Path,
    project: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = project(variant)
    chosen = EXTRAS if ALL else EXTRAS[WITH_EXTRAS.index(variant) :: len(WITH_EXTRAS)]
    for extras in [*([extra] for extra in chosen), []]:
        answers = SETS[variant] | {"extras": extras}
        wanted = copy(repository, tmp_path / "-".join(["wanted", *extras]), answers, BRANCH)

        update(folder, answers, BRANCH)

        assert tree(folder) == tree(wanted), extras
        commit_all(folder)


@SHELL
@pytest.mark.parametrize("variant", sample([*WITH_EXTRAS][::-1], 4))
def test_what_the_workflows_run_passes(
    variant: str,
    check_out: Callable[..., Checkout],
    new_database: NewDatabase,
) -> None:
    checkout = check_out(variant)
    found = commands(checkout.folder)
    assert set(found) == {
        'pip install "uv>=0.13,<0.14"',
        "uv run pre-commit run --all-files",
        "test ! -f uv.lock || uv lock --check",
        "uv run pytest",
    }
    version = checkout.run("uv", "--version").split()[1]
    assert version.startswith("0.13.")
    for command, variables in found.items():
        if command.startswith("pip"):
            continue
        if not command.endswith("pytest") and variant != WITH_EXTRAS[0]:
            # The files are those of the projects that tests of their own lint and type.
            continue
        env = {}
        if "TEST_DATABASE_URL" in variables:
            drivername = make_url(variables["TEST_DATABASE_URL"]).drivername
            url = new_database(drivername)
            env["TEST_DATABASE_URL"] = url.render_as_string(hide_password=False)
        printed = checkout.run("bash", "-eo", "pipefail", "-c", command, env=env)
        if command.endswith("pytest"):
            assert re.search(r"\d+ passed", printed)
            assert "skipped" not in printed
    assert git(checkout.folder, "status", "--porcelain") == "?? uv.lock\n"
    if variant == WITH_EXTRAS[0]:
        check_stale_lock(checkout)
        (checkout.folder / "notes.txt").write_text("A line.  ")
        git(checkout.folder, "add", "notes.txt")
        [hooks] = [command for command in found if "pre-commit" in command]
        printed = checkout.run("bash", "-c", hooks, check=False)
        failed = re.findall(r"^- hook id: (.+)$", printed, re.MULTILINE)
        assert failed == ["end-of-file-fixer", "trailing-whitespace"]


def check_stale_lock(checkout: Checkout) -> None:
    """Check that the workflows and the image stop if a lock is older than pyproject.toml."""
    replace(checkout.folder, "pyproject.toml", '  "python-dotenv', '  "idna>=3",\n  "python-dotenv')
    dockerfile = (checkout.folder / "Dockerfile").read_text()
    [build] = re.findall(r"^    (if \[ -f uv.lock .+)$", dockerfile, re.MULTILINE)
    for command in ("test ! -f uv.lock || uv lock --check", build):
        printed = checkout.run("sh", "-ec", f"! {{ {command}; }}")
        assert "needs to be updated" in printed


@SHELL
@pytest.mark.long
def test_pre_commit_checks_a_commit_with_the_tools_of_the_project(
    check_out: Callable[..., Checkout], tmp_path: Path
) -> None:
    checkout = check_out("orm-flask-postgresql+psycopg")
    config = yaml.safe_load((checkout.folder / ".pre-commit-config.yaml").read_text())
    # No version but those of pyproject.toml is written anywhere, and nothing is fetched.
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert all(hook["entry"].startswith("uv run ") for hook in hooks)
    assert not any("additional_dependencies" in hook for hook in hooks)

    home = {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    checkout.run("uv", "run", "--quiet", "pre-commit", "install", env=home)
    printed = checkout.run("uv", "run", "--quiet", "pre-commit", "run", "--all-files", env=home)
    assert "Failed" not in printed
    assert printed.count("Passed") == len(hooks)

    faults = {
        "own.py": '"""My own."""\n\nimport os\n\nURL = "postgresql://u:secret@h/d"\n',
        "notes.md": "<<<<<<< HEAD\n\nA line.  ",
        "large.txt": "large\n" * 100_000,
        "own.toml": "a =\n",
        "own.yaml": "a: [\n",
        f"src/{PACKAGE}/own.py": '"""My own."""\n\nX: int = ""\n',
    }
    for name, text in faults.items():
        (checkout.folder / name).write_text(text)
    git(checkout.folder, "add", "--all")
    printed = checkout.run("git", "commit", "--message", "Leak", env=home, check=False)
    assert git(checkout.folder, "log", "-1", "--format=%s") == "Save\n"
    failed = set(re.findall(r"^- hook id: (.+)$", printed, re.MULTILINE))
    assert failed == {hook["id"] for hook in hooks}
    assert "own.py:5" in printed
    assert "secret@" not in printed

    # uv.lock is among what is committed now.
    git(checkout.folder, "rm", "--quiet", "--force", *faults)
    own = checkout.folder / "own.py"
    own.write_text('"""My own."""\n\nNAME = "x"\n')
    git(checkout.folder, "add", "--all")
    checkout.run("git", "commit", "--quiet", "--message", "Own", env=home)
    assert git(checkout.folder, "log", "-1", "--format=%s") == "Own\n"
