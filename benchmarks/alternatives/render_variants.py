"""Render some variants of the template in one process.

Usage: render_variants.py TEMPLATE FOLDER COUNT
"""

import sys
from itertools import islice, product
from pathlib import Path

import copier

APIS = ("core", "orm")
FRAMEWORKS = ("plain", "flask")
URLS = (
    "sqlite:///hello.db",
    "postgresql://localhost/hello",
    "mysql://localhost/hello",
    "mariadb://localhost/hello",
    "duckdb:///hello.duckdb",
)

template, folder, count = sys.argv[1:]
for number, variant in enumerate(islice(product(URLS, FRAMEWORKS, APIS), int(count))):
    url, framework, api = variant
    answers = {
        "project_name": "hello",
        "api": api,
        "framework": framework,
        "database_url": url,
    }
    destination = Path(folder) / str(number)
    copier.run_copy(template, destination, data=answers, defaults=True, quiet=True)
