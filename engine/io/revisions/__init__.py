"""The revision chain of the engine's own tables (`aether_…`): Alembic's, run by `io/own_tables.py`.

A revision that was released is never edited: later changes are revisions of their own.
"""
