"""PNG files to arrays."""

import io

import numpy as np

from vaeserve.tensors import Bytes


def to_items(files: tuple[bytes, ...]) -> Bytes:
    """The pictures of equally large grey or RGB files as [rows, channels, height, width], 0..255."""
    from PIL import Image  # imported late: only clients that ask for PNG need Pillow

    pictures = [np.asarray(Image.open(io.BytesIO(file))) for file in files]  # [height, width] or [height, width, 3]
    return np.stack([np.atleast_3d(picture).transpose(2, 0, 1) for picture in pictures])
