"""Drawing: a layout and its values become a sheet, and a sheet becomes SVG, PDF or PNG. Knows no resource type.

The libraries that draw take fifty megabytes: they are loaded by `draw.py` alone, which the façade loads when something
is drawn for the first time. Reading a layout takes none of them.
"""
