"""One picture or one mask of every kind: read as it was drawn, or refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import image_io
from bench.data.sources.mask_codes import Colors, Values

IDS = np.resize(np.array([0, 5, 7, 255], np.uint8), (6, 8))
RGB = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def encoded(array, kind, **options):
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


def placed(path, data):
    path.write_bytes(data)
    return path


def mask_of(path):
    return Values()(path, image_io.encoded(path))


def fault(call, *arguments):
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tiff"])
def test_ids_are_read_as_they_were_drawn(tmp_path, kind):
    np.testing.assert_array_equal(mask_of(placed(tmp_path / f"a.{kind}", encoded(IDS, kind))), IDS)


def test_a_gif_in_colours_is_refused(tmp_path):
    """Its colours are told, its indices are not: the writer numbers them anew."""
    coloured = Image.fromarray(np.where(IDS == 5, 9, 3).astype(np.uint8))
    coloured.putpalette([index for number in range(256) for index in (number, 0, 0)])
    path = tmp_path / "a.gif"
    coloured.save(path)
    assert fault(mask_of, path).startswith(f"{path}: a GIF in colors, whose indices are no class ids")
    ids = Colors({(9, 0, 0): 0, (3, 0, 0): 1})(path, path.read_bytes())
    np.testing.assert_array_equal(ids, IDS != 5)


@pytest.mark.parametrize(("kind", "options"), [("jpeg", {}), ("tiff", {"compression": "jpeg"})])
def test_a_jpeg_is_no_mask_whatever_its_name(tmp_path, kind, options):
    path = placed(tmp_path / "a.png", encoded(IDS, kind, **options))
    assert fault(mask_of, path) == f"{path}: the mask is a JPEG, which invents class ids; draw it again as PNG"


def test_nor_is_one_of_several_pictures_or_in_colours(tmp_path):
    data = encoded(np.zeros((6, 8, 3), np.uint8), "mpo", save_all=True, append_images=[Image.fromarray(RGB)])
    path = placed(tmp_path / "a.png", data)
    assert "the mask is a JPEG" in fault(Colors({(0, 0, 0): 0}), path, data)


@pytest.mark.parametrize(
    ("values", "told"),
    [([0, 1.5], "1.5"), ([0, np.nan], "nan"), ([2, np.inf], "inf"), ([-1.0, 2], "-1.0")],
)
def test_fractions_are_no_class_ids(tmp_path, values, told):
    path = placed(tmp_path / "a.tif", encoded(np.resize(np.array(values, np.float32), (6, 8)), "tiff"))
    assert f"the mask holds the value {told}; class ids are whole numbers" in fault(mask_of, path)


def test_whole_numbers_in_floats_are(tmp_path):
    path = placed(tmp_path / "a.tif", encoded(IDS.astype(np.float32), "tiff"))
    np.testing.assert_array_equal(mask_of(path), IDS)


def test_a_value_below_0_is_named(tmp_path):
    path = placed(tmp_path / "a.tif", encoded(np.resize(np.array([3, -7], np.int32), (6, 8)), "tiff"))
    assert "the mask holds the value -7;" in fault(mask_of, path)


def test_postscript_is_not_run(tmp_path):
    path = placed(tmp_path / "a.png", encoded(RGB, "eps"))
    for read in (mask_of, image_io.image_of):
        assert "not an image, or of an unknown kind" in fault(read, path)


# --- pictures --------------------------------------------------------------------------------------------------------


def png(color_type, channels):
    """4 x 2 pixels of 16 bits a channel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 2, 16, color_type, 0, 0, 0)
    rows = (b"\0" + b"\1\2" * 4 * channels) * 2
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(planar):
    """4 x 2 pixels in RGB of 16 bits a channel, with the channels side by side (1) or one after the other (2)."""
    bits, pixels = struct.pack("<HHH", 16, 16, 16), b"\1\2" * 24
    strips = [134 + 16 * channel for channel in range(3)] if planar == 2 else [134]
    bits_at, strips_at = 134 + len(pixels), 134 + len(pixels) + len(bits)
    entries = [
        (256, 4, 1, 4), (257, 4, 1, 2), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, len(strips), strips_at if planar == 2 else strips[0]), (277, 3, 1, 3), (278, 4, 1, 2),
        (279, 4, 1, len(pixels)), (284, 3, 1, planar),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0" * 4
    assert 8 + len(table) == 134
    return b"II*\0" + struct.pack("<I", 8) + table + pixels + bits + struct.pack(f"<{len(strips)}I", *strips)


@pytest.mark.parametrize(
    "data",
    [png(2, 3), png(4, 2), png(6, 4), tiff(1), tiff(2), b"P6 4 2 65535 " + b"\1\2" * 24, b"P6 1 1 256 " + b"\1\2" * 3],
    ids=["rgb", "grey and alpha", "rgba", "tiff", "tiff of planes", "ppm", "ppm of 9 bits"],
)
def test_sixteen_bits_a_channel_are_refused(tmp_path, data):
    path = placed(tmp_path / "a", data)
    for read in (image_io.image_of, image_io.check_image):
        assert fault(read, path) == f"{path}: more than 8 bits per channel; convert the image to 8 bits"


def test_sixteen_bits_a_pixel_are_read(tmp_path):
    """A bitmap of 5, 6 and 5 bits."""
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + masks
    data = b"BM" + struct.pack("<IHHI", 14 + len(header) + 4, 0, 0, 14 + len(header)) + header + b"\x00\xf8\x1f\x00"
    assert image_io.image_of(placed(tmp_path / "a.bmp", data)).tolist() == [[[255, 0, 0], [0, 0, 255]]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8, 9])
def test_the_size_is_that_of_the_picture_once_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = placed(tmp_path / "a", encoded(RGB, kind, exif=exif))
    width, height = image_io.decoded(path, path.read_bytes(), image_io.upright_size)
    assert (height, width) == image_io.image_of(path).shape[:2] == ((8, 6) if orientation in (5, 6, 8) else (6, 8))
