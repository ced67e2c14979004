"""Execute statements in a PostgreSQL database, each at once.

Usage: sql.py URL STATEMENT ...
"""

import sys

import psycopg

with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    for statement in sys.argv[2:]:
        connection.execute(statement.encode())
