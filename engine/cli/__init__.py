"""The command line: which commands `aether` has. What each does stands in the file of its family.

The families: `registry.py` (check, explain, routes, new), `documents.py` (openapi, schema, settings), `database.py`
(migrate, seed, introspect), `credentials.py` (token, apikey), `doctor.py`, `files.py` (gc), `legacy.py`
and `serving.py`.
"""

from __future__ import annotations

from engine.cli import credentials, database, doctor, documents, files, legacy, registry, serving
from engine.cli.terminal import make_group

app = make_group("Serve the types that resources.yaml declares, and look after their database.")
token = make_group("Make tokens.")
apikey = make_group("Make, list and revoke API keys.")
old = make_group("Tell how much of the old API is still used.")

for command in (
    serving.serve,
    registry.check,
    registry.explain,
    registry.routes,
    registry.new,
    documents.settings,
    documents.schema,
    documents.openapi,
    database.introspect,
    database.migrate,
    database.seed,
    doctor.doctor,
    files.gc,
):
    app.command()(command)
token.command()(credentials.mint)
apikey.command("create")(credentials.create_key)
apikey.command("list")(credentials.list_keys)
apikey.command("revoke")(credentials.revoke_key)
app.add_typer(token, name="token")
old.command("report")(legacy.report)
app.add_typer(apikey, name="apikey")
app.add_typer(old, name="legacy")
