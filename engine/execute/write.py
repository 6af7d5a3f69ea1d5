"""The writes of one object: what `http/` and actions call. Each is in a file of its own; this is their list."""

from engine.execute.create import create_object
from engine.execute.delete import delete_object, restore_object
from engine.execute.move import move_object
from engine.execute.present import hold_object
from engine.execute.session import Outcome, WriteCall, run_together
from engine.execute.update import update_object

__all__ = [
    "Outcome",
    "WriteCall",
    "create_object",
    "delete_object",
    "hold_object",
    "move_object",
    "restore_object",
    "run_together",
    "update_object",
]
