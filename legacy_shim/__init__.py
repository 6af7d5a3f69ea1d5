"""The old V1 and V2 API, translated from outside into calls of V3: an ASGI layer around the application.

It has no data access of its own and nothing in the engine imports it; deleting the
folder removes the old API and nothing else. `app.py` is the layer, `routes.py` the table of old routes.
"""
