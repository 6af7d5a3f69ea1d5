"""Pictures that a sheet may hold: PNG and JPEG, checked before a pixel of them is decoded, and made new.

What is drawn is never what was uploaded but its pixels, encoded anew: nothing that hides in a file comes along.
"""

from __future__ import annotations

import io

from PIL import Image as Pixels
from PIL import ImageOps

MAX_BYTES = 8 * 1024 * 1024
MAX_PIXELS = 30_000_000
MAX_SIDE = 1_600
FORMATS = ("PNG", "JPEG")


class UnfitPicture(ValueError):
    """The bytes are no picture that can be drawn; the message is a sentence for the caller."""


def read_picture(data: bytes) -> tuple[bytes, str, int, int]:
    """Check a picture and encode it anew.

    Args:
        data: As it was stored, whatever its type is said to be.

    Returns:
        Bytes, media type, width and height in pixels, at most `MAX_SIDE` each.

    Raises:
        UnfitPicture: It is no PNG or JPEG, is damaged, or has more than `MAX_PIXELS`.
    """
    if len(data) > MAX_BYTES:
        raise UnfitPicture(f"The picture is larger than {MAX_BYTES // 1024 // 1024} MiB.")
    try:
        with Pixels.open(io.BytesIO(data), formats=FORMATS) as found:
            if found.width * found.height > MAX_PIXELS:
                raise UnfitPicture(f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.")
            is_jpeg = found.format == "JPEG"
            if is_jpeg:
                found.draft("RGB", (MAX_SIDE, MAX_SIDE))
            upright = ImageOps.exif_transpose(found)
            has_alpha = upright.has_transparency_data
            pixels = upright.convert("RGBA" if has_alpha else "RGB")
        pixels.thumbnail((MAX_SIDE, MAX_SIDE))
    except UnfitPicture:
        raise
    except (Pixels.DecompressionBombError, Pixels.DecompressionBombWarning) as bomb:
        raise UnfitPicture(f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.") from bomb
    except Exception as fault:
        # Pillow raises whatever its decoders do, of any class: each means that these bytes are no picture.
        raise UnfitPicture("The file is no PNG or JPEG picture, or it is damaged.") from fault
    # Comments, profiles and the like, which are saved with the pixels.
    pixels.info.clear()
    out = io.BytesIO()
    if is_jpeg:
        pixels.save(out, "JPEG", quality=90)
    else:
        pixels.save(out, "PNG")
    return out.getvalue(), "image/jpeg" if is_jpeg else "image/png", pixels.width, pixels.height
