"""Words of HTTP about files: a file's name, its media type, the range of it that is wanted.

What a client says of a file is kept as far as it is harmless: a name loses its directories and whatever no screen
shows, a type must look like one. Which bytes there are is not known here.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

MAX_NAME_BYTES = 255
MAX_NAME_READ = 16 * 1024
MAX_TYPE = 127
MAX_RANGE_HEADER = 1_024
UNNAMED = "file"
UNKNOWN_TYPE = "application/octet-stream"
# What a browser shows without running anything of it; everything else is for saving.
PASSIVE_TYPES = frozenset(
    f"{family}/{name}"
    for family, names in {
        "image": ("png", "jpeg", "gif", "webp", "avif", "bmp", "tiff"),
        "audio": ("mpeg", "ogg", "wav", "webm", "aac", "flac", "mp4"),
        "video": ("mp4", "webm", "ogg", "quicktime"),
        "text": ("plain",),
    }.items()
    for name in names
)

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,62}")
# Letters of no width, marks of direction: they make one name look like another (`exe.txt` for `txt.exe`).
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_MISLEADING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&()+,.@\[\]^_`{}~-]")
_EXTENSION = re.compile(r"[a-z0-9]{1,20}")
_RANGE = re.compile(r"(\d{0,400})-(\d{0,400})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to and without `end`."""

    start: int
    end: int


class Unsatisfiable(ValueError):
    """A range beyond the bytes that there are."""


def safe_file_name(raw: str, *, max_length: int | None = None) -> str:
    """What remains of a client's name for a file: one name without directories, of characters that can be seen.

    Args:
        raw: As the client sent it; only its first `MAX_NAME_READ` characters count.
        max_length: Of the field that keeps it, in characters.

    Returns:
        At most `MAX_NAME_BYTES` bytes in UTF-8, never empty; a long name keeps its extension.
    """
    text = unicodedata.normalize("NFC", raw[:MAX_NAME_READ].replace("\\", "/"))
    seen = "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter not in _MISLEADING and (letter.isspace() or unicodedata.category(letter) not in _UNSEEN)
    )
    name = seen.rstrip("/").rpartition("/")[2].strip(" .") or UNNAMED
    stem, dot, extension = name.rpartition(".")
    tail = dot + extension if stem and _EXTENSION.fullmatch(extension.lower()) else ""
    most = MAX_NAME_BYTES - len(tail)
    stem = name.removesuffix(tail) if tail else name
    if max_length is not None:
        stem = stem[: max(max_length - len(tail), 0)]
    stem = stem.encode("utf-8")[:most].decode("utf-8", "ignore")
    return (stem + tail).strip(" .") or UNNAMED


def extension_of(file_name: str) -> str | None:
    """The extension of a safe name in lower case, without its dot; None where it has none to speak of."""
    stem, _, extension = file_name.rpartition(".")
    extension = extension.lower()
    return extension if stem and _EXTENSION.fullmatch(extension) else None


def media_type(claim: str | None, file_name: str) -> str:
    """The type that a file is kept with: the client's claim without its parameters, else what the name suggests.

    What a type is believed to be is nothing that anything rests on; see `is_passive`.
    """
    essence = (claim or "").partition(";")[0].strip().lower()
    if len(essence) <= MAX_TYPE and _TYPE.fullmatch(essence) and essence != UNKNOWN_TYPE:
        return essence
    guessed, coding = mimetypes.guess_type(file_name)
    return guessed if guessed is not None and coding is None else UNKNOWN_TYPE


def is_passive(content_type: str | None) -> bool:
    """Whether a browser may show files of a type rather than save them: nothing in them can run."""
    return content_type in PASSIVE_TYPES


def content_disposition(file_name: str, *, is_inline: bool) -> str:
    """The value of ``Content-Disposition``, whatever the name holds (RFC 6266, RFC 8187).

    Returns:
        ASCII: a plain name for old clients, and beside it the whole one where it differs.
    """
    way = "inline" if is_inline else "attachment"
    name = safe_file_name(file_name)
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    plain = _NOT_PLAIN.sub("_", "".join(letters))
    if plain == name:
        return f'{way}; filename="{plain}"'
    return f"{way}; filename=\"{plain[:200]}\"; filename*=UTF-8''{quote(name, safe='!#$&+^`|~.-_')}"


def parse_range(header: str, size_bytes: int) -> ByteRange | None:
    """Read ``Range``.

    Args:
        header: Its value.
        size_bytes: How many bytes there are.

    Returns:
        The range; None where the whole is answered: another unit, several ranges, or nothing that can be read
        (RFC 9110, 14.2: who answers may ignore any of them).

    Raises:
        Unsatisfiable: One range, and it begins behind the last byte or is of none.
    """
    if len(header) > MAX_RANGE_HEADER:
        return None
    unit, _, given = header.partition("=")
    match = _RANGE.fullmatch(given.strip(" \t"))
    if unit.strip().lower() != "bytes" or match is None or match[0] == "-":
        return None
    first, last = match.groups()
    if not first:
        length = _number(last)
        if length == 0 or size_bytes == 0:
            raise Unsatisfiable(header)
        return ByteRange(max(size_bytes - length, 0), size_bytes)
    start = _number(first)
    if last and _number(last) < start:
        return None
    if start >= size_bytes:
        raise Unsatisfiable(header)
    return ByteRange(start, min(_number(last) + 1, size_bytes) if last else size_bytes)


def _number(digits: str) -> int:
    """A number of any length, cheaply: what is beyond 18 digits is beyond every file."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= 18 else 10**18
