"""`python -m engine.cli` is `aether`."""

from __future__ import annotations

from engine.cli import app

if __name__ == "__main__":
    app(prog_name="aether")
