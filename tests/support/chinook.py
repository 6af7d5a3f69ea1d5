"""The Chinook database (see its LICENSE.md in `tests/data/chinook`): a real one that knows nothing of the engine."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import urlsplit

from tests.support import services

DATA = Path(__file__).parents[1] / "data" / "chinook"
_END = re.compile(r";\s*\n")
# The script makes a database of its own; ours is there already.
_NOT_OURS = ("DROP DATABASE", "CREATE DATABASE", "USE ")


def load_sqlite(path: Path) -> None:
    """Write the database as a new SQLite file."""
    path.write_bytes(gzip.decompress((DATA / "chinook.sqlite.gz").read_bytes()))


def load_mariadb(url: str) -> None:
    """Run the script in the empty database of a URL."""
    script = gzip.decompress((DATA / "chinook_mysql.sql.gz").read_bytes()).decode("utf-8-sig")
    script = re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL)
    statements = [part.strip() for part in _END.split(script)]
    wanted = [part for part in statements if part and not part.upper().startswith(_NOT_OURS)]
    services.run_on_mariadb(*wanted, database=urlsplit(url).path.strip("/"))


def load(url: str) -> None:
    """Fill the empty database of a URL, whichever it is."""
    if url.startswith("sqlite"):
        load_sqlite(Path(urlsplit(url).path.removeprefix("/")))
    else:
        load_mariadb(url)
