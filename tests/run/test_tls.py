"""A demand for TLS is met or rejected: every spelling with every driver against four servers."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
import yaml
from sqlalchemy import make_url

from helpers.connections import SECRET
from helpers.modes import sample
from helpers.private_servers import PrivateServer, private_server
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite
from helpers.variants import EVERY, Variant, require_system_packages

TABLE: dict[str, dict[str, str | dict[str, str]]] = yaml.safe_load(
    Path(__file__).with_name("tls.yml").read_text("utf-8")
)
# What the server sees: without TLS, with a good certificate, with another name in it, expired.
SEEN = {
    "encrypted": ["failed", "tls", "tls", "tls"],
    "chain": ["failed", "tls", "tls", "failed"],
    "verified": ["failed", "tls", "failed", "failed"],
    "failed": ["failed"] * 4,
    "refused": ["refused"] * 4,
}
NAMES = {
    "postgresql": ["ssl", "SSL", "sslmode", "sslMode", "ssl-mode", "ssl_mode", "SSLMODE", "useSSL"],
    "mariadb": [
        *("ssl", "SSL", "ssl-mode", "ssl_mode", "sslMode", "sslmode", "useSSL", "usessl", "tls"),
        *("requireSSL", "ssl_verify_cert", "ssl-verify-cert", "ssl_verify_identity", "SSLVERIFY"),
    ],
}
# Each is a demand, whichever of these names it has.
VALUES = [
    *("true", "True", "1", "yes", "on", "require", "required", "REQUIRED", "strict", "+", ""),
    *("verify-full", "verify_identity", "VERIFY_IDENTITY", "%7B%22ca%22%3A1%7D", "true&{}=false"),
]
CA = {"postgresql": "sslrootcert=CA", "mariadb": "ssl_ca=CA"}
RUN = [
    variant
    for variant in EVERY
    if variant.backend in TABLE
    and (variant.api, variant.framework) == ("orm", "plain")
    and "options" not in variant.row
]


class FourServers:
    """The servers of a database, one with each kind of certificate, and the files of a client."""

    def __init__(self, backend: str, folder: Path, stack: ExitStack) -> None:
        authority = trustme.CA()
        self.files = {name: str(folder / f"{name}.pem") for name in ("CA", "CERT", "KEY", "OFF")}
        client = authority.issue_cert("client.example")
        authority.cert_pem.write_to_path(self.files["CA"])
        client.cert_chain_pems[0].write_to_path(self.files["CERT"])
        client.private_key_pem.write_to_path(self.files["KEY"])
        Path(self.files["KEY"]).chmod(0o600)
        # The first is MariaDB's library, the second mysqlconnector's.
        Path(self.files["OFF"]).write_text(
            "[client]\nssl-verify-server-cert=0\nssl_disabled=True\n"
        )
        now = datetime.now(UTC)
        start, end = now - timedelta(9), now - timedelta(2)
        certificates = [
            authority.issue_cert("127.0.0.1"),
            authority.issue_cert("database.example"),
            authority.issue_cert("127.0.0.1", not_before=start, not_after=end),
        ]
        near = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}[backend]
        make_url(f"{near}://").get_dialect()  # threads must not import it at the same time
        identities = [None, *((each, authority) for each in certificates)]
        starting = [private_server(near, identity=each) for each in identities]
        with ThreadPoolExecutor() as pool:
            servers: list[PrivateServer] = [*pool.map(stack.enter_context, starting)]
        self.urls = [server.new_database("tried") for server in servers]

    def see(
        self, variant: Variant, make_site: MakeSite, spellings: list[str], folder: Path
    ) -> dict[str, list[str]]:
        """Return what became of each spelling at each server."""
        require_system_packages(variant)
        site = make_site(variant.api, variant.framework, variant.drivername)
        texts = []
        for spelling, url in product(spellings, self.urls):
            options = spelling
            for name, file in self.files.items():
                options = options.replace(f"={name}", f"={file}")
            bare = url.set(drivername=variant.drivername).render_as_string(hide_password=False)
            texts.append(f"{bare}?{options}")
        arguments = (SCRIPTS / "tls.py", site.package)
        nothing = make_url("sqlite://")
        done = site.run_python(nothing, folder, *arguments, given=json.dumps(texts))
        assert done.returncode == 0, done.stderr
        report: list[tuple[str, str]] = json.loads(done.stdout)
        assert [printed for _, printed in report if "\n" in printed or SECRET in printed] == []
        ends = iter(seen for seen, _ in report)
        return {spelling: [next(ends) for _ in self.urls] for spelling in spellings}


@pytest.fixture(scope="session")
def four_servers() -> Iterator[Callable[[str], FourServers]]:
    """Start the servers of a database, once."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="copier-sqlalchemy-")))

        def start(backend: str) -> FourServers:
            own = folder / backend
            own.mkdir()
            return FourServers(backend, own, stack)

        yield cache(start)


@pytest.mark.parametrize("variant", sample(RUN, 3), ids=str)
def test_a_demand_is_met_or_rejected(
    variant: Variant,
    make_site: MakeSite,
    four_servers: Callable[[str], FourServers],
    tmp_path: Path,
) -> None:
    driver = variant.drivername.partition("+")[2].removesuffix("_async")
    table = TABLE[variant.backend]
    seen = four_servers(variant.backend).see(variant, make_site, list(table), tmp_path)
    wrong = {}
    for spelling, row in table.items():
        wanted = row if isinstance(row, str) else row.get(driver, row["all"])
        right = (
            seen[spelling][0] == "plain" and {*seen[spelling]} <= {"plain", "tls"}
            if wanted == "any"
            else seen[spelling] == SEEN[wanted]
        )
        if not right:
            wrong[spelling] = wanted, seen[spelling]
    assert wrong == {}


@pytest.mark.long
@pytest.mark.parametrize("variant", RUN, ids=str)
def test_no_other_spelling_connects_with_less_than_it_demands(
    variant: Variant,
    make_site: MakeSite,
    four_servers: Callable[[str], FourServers],
    tmp_path: Path,
) -> None:
    pairs = product(NAMES[variant.backend], VALUES)
    encrypted = [f"{name}={value.format(name)}" for name, value in pairs]
    assert len(encrypted) > 100
    # psycopg rejects a CA without a mode that verifies, and passes the rest to libpq.
    verified = [f"{spelling}&{CA[variant.backend]}" for spelling in encrypted]
    servers = four_servers(variant.backend)
    seen = servers.see(variant, make_site, encrypted + verified, tmp_path)
    assert [each for each in encrypted + verified if "plain" in seen[each]] == []
    # A certificate that has expired, or has another name
    assert [each for each in verified if "tls" in seen[each][2:]] == []
