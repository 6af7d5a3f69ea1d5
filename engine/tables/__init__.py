"""The registry as tables: SQLAlchemy tables for statements and DDL, and the indexes they want.

`layout.py` makes the tables, `indexes.py` the indexes. How either becomes DDL text
is `sql/ddl.py`'s business, when DDL runs `io/migrate.py`'s.
"""

from engine.tables.indexes import MAX_INDEX_BYTES, IndexPart, TableIndex, fields_of_index, index_bytes, indexes_of
from engine.tables.layout import CHARSET, COLLATION, Tables, build_tables, column_names, foreign_keys_of

__all__ = [
    "CHARSET",
    "COLLATION",
    "MAX_INDEX_BYTES",
    "IndexPart",
    "TableIndex",
    "Tables",
    "build_tables",
    "column_names",
    "fields_of_index",
    "foreign_keys_of",
    "index_bytes",
    "indexes_of",
]
