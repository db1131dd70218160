"""A mask in every mode that the decoder opens: its stored ids, or one line of refusal."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import image_io
from bench.data.sources.derived_files import mask_of
from bench.data.sources.mask_codes import Colors, Shown, Values

TWO = np.resize(np.array([0, 1, 1, 0, 1, 0, 0], np.uint8), (6, 8))
FOUR = np.resize(np.array([0, 1, 2, 3, 1, 0, 3], np.uint8), (6, 8))
TEN = np.resize(np.array([0, 1, 2, 3, 9, 14, 7], np.uint8), (6, 8))
IDS = np.resize(np.array([0, 5, 7, 255, 3], np.uint8), (6, 8))
OF_BITS = {1: TWO, 2: FOUR, 4: TEN, 8: IDS}
GREYS = bytes(range(256))
RED_FIRST = bytes([200, 0, 0, 0, 200, 0, 0, 0, 200, 90, 90, 90]) + bytes(3 * 252)


def packed(values, bits):
    """Rows of values, the first in the highest bits of a byte, each row from a byte on."""
    spread = (values[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(spread.reshape(len(values), -1).astype(np.uint8), axis=1)


def png(bits, kind, rows, *, palette=b"", clear=b"", exif=b"", interlaced=False):
    def part(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) if data else b""

    height, width = rows.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for y, x, down, right in passes if interlaced else [(0, 0, 1, 1)]:
        some = rows[y::down, x::right]
        if some.size:
            lines = some.reshape(len(some), -1).astype(">u2").view(np.uint8) if bits == 16 else some
            lines = packed(lines, bits) if bits < 8 else lines.reshape(len(some), -1)
            data += b"".join(b"\0" + line.tobytes() for line in lines)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + b"".join(part(*one) for one in ((b"IHDR", head), (b"PLTE", palette), (b"tRNS", clear), (b"eXIf", exif)))
        + part(b"IDAT", zlib.compress(data))
        + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    )


def tiff(data, bits, photometric=1, *, shape=(6, 8), order="<", **more):
    """Pages of one strip; further tags as tNUMBER=(type, values)."""
    channels = more.pop("channels", 1)
    tags = {
        256: (3, [shape[1]]), 257: (3, [shape[0]]), 258: (3, [bits] * channels), 259: (3, [1]), 277: (3, [channels]),
        278: (3, [shape[0]]), 279: (4, [len(data)]),
    }  # fmt: skip
    if photometric is not None:
        tags[262] = (3, [photometric])
    pages = more.pop("pages", [{}])
    tags |= {int(name[1:]): value for name, value in more.items()}
    whole = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data)) + data
    for number, page in enumerate(pages):
        mine = dict(sorted((tags | {273: (4, [8])} | page).items()))
        start, table, extra = len(whole), struct.pack(f"{order}H", len(mine)), b""
        after = start + 2 + 12 * len(mine) + 4
        for tag, (kind, values) in mine.items():
            body = struct.pack(f"{order}{len(values)}{'_BsHI'[kind]}", *values)
            if len(body) > 4:
                body, extra = struct.pack(f"{order}I", after + len(extra)), extra + body
            table += struct.pack(f"{order}HHI", tag, kind, len(values)) + body.ljust(4, b"\0")
        following = after + len(extra) if number + 1 < len(pages) else 0
        whole += table + struct.pack(f"{order}I", following) + extra
    return whole


def bmp(values, bits, palette):
    """From the lowest row up, each a multiple of 4 bytes."""
    rows = packed(values, bits)[::-1]
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    colors = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    at = 54 + len(colors)
    head = struct.pack("<IiiHHIIiiII", 40, values.shape[1], len(values), 1, bits, 0, len(rows), 0, 0, len(palette), 0)
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + head + colors + rows


def saved(array, kind, mode=None, **options):
    data = io.BytesIO()
    image = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    image.save(data, kind, **options)
    return data.getvalue()


def read(tmp_path, data, code=None):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    return (code or Values())(path, data)


def fault(tmp_path, data, code=None):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, data, code)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")
    return str(caught.value)


def color_map(colors, scale=257):
    """Of RGB triples: all reds, then all greens, then all blues, in 16 bits."""
    table = np.frombuffer(colors, np.uint8).reshape(-1, 3).T.astype(int) * scale
    return 3, table.ravel().tolist()


# --- ids as they are stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_grey_png_of_any_depth(tmp_path, bits, interlaced):
    data = png(bits, 0, OF_BITS[bits], interlaced=interlaced)
    np.testing.assert_array_equal(read(tmp_path, data), OF_BITS[bits])


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_grey_png_of_16_bits(tmp_path, interlaced):
    np.testing.assert_array_equal(read(tmp_path, png(16, 0, IDS.astype(int), interlaced=interlaced)), IDS)
    assert "the mask holds the value 65535" in fault(tmp_path, png(16, 0, np.full((6, 8), 65535)))


@pytest.mark.parametrize("clear", [b"", b"\x00", b"\xff\x80\x00"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_png_of_any_depth_and_transparency(tmp_path, bits, clear):
    data = png(bits, 3, OF_BITS[bits], palette=RED_FIRST[: 3 << bits], clear=clear[: 1 << bits])
    np.testing.assert_array_equal(read(tmp_path, data), OF_BITS[bits])


def test_a_transparent_grey_stays_its_value(tmp_path):
    for bits in (1, 2, 4, 8):
        data = png(bits, 0, OF_BITS[bits], clear=b"\x00\x01")
        np.testing.assert_array_equal(read(tmp_path, data), OF_BITS[bits])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("fill", [1, 2])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("photometric", [1, 3])
def test_a_tiff_of_any_depth_and_bit_order(tmp_path, bits, fill, order, photometric):
    rows = packed(OF_BITS[bits], bits).tobytes()
    if fill == 2:  # the first value in the lowest bits
        rows = bytes(int(f"{byte:08b}"[::-1], 2) for byte in rows)
    more = {"t320": color_map(RED_FIRST[: 3 << bits])} if photometric == 3 else {}
    data = tiff(rows, bits, photometric, order=order, t266=(3, [fill]), **more)
    if fill == 2 and photometric == 3 and bits < 8:
        assert "cannot be read (unknown raw mode" in fault(tmp_path, data)
        return
    np.testing.assert_array_equal(read(tmp_path, data), OF_BITS[bits])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.float32])
def test_a_tiff_of_any_type_and_compression(tmp_path, dtype, compression):
    array = IDS.astype(dtype)
    if dtype == np.uint32:
        data = tiff(array.tobytes(), 32)
    elif dtype == np.int16:
        data = tiff(array.tobytes(), 16, t339=(3, [2]))
    else:
        data = saved(array, "tiff", compression=compression)
    np.testing.assert_array_equal(read(tmp_path, data), IDS)


def test_a_compressed_tiff_of_2_and_4_bits(tmp_path):
    for bits in (2, 4):
        data = tiff(zlib.compress(packed(OF_BITS[bits], bits).tobytes()), bits, t259=(3, [8]))
        np.testing.assert_array_equal(read(tmp_path, data), OF_BITS[bits])


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("palette", ["colors", "greys", "black and white", "white and black"])
def test_a_bitmap_of_any_depth_and_palette(tmp_path, bits, palette):
    """Pillow takes a palette of greys for a sign of 8 bits a pixel, and one of black and white for 1 bit."""
    colors = {
        "colors": [(200, 0, 0), (0, 200, 0), *[(0, 0, number) for number in range(2, 1 << bits)]],
        "greys": [(number,) * 3 for number in range(1 << bits)],
        "black and white": [(0, 0, 0), (255, 255, 255)],
        "white and black": [(255, 255, 255), (0, 0, 0)],
    }[palette]
    values = TWO if len(colors) == 2 else OF_BITS[bits]
    np.testing.assert_array_equal(read(tmp_path, bmp(values, bits, colors)), values)


@pytest.mark.parametrize(("bits", "kind"), [(8, 1), (4, 2)])
def test_a_bitmap_in_runs(tmp_path, bits, kind):
    """Rows of pairs of a length and a byte, each ended by two zeros."""
    rows = b"".join(
        b"".join(bytes([1, value << (8 - bits) if bits == 4 else value]) for value in row) + b"\0\0"
        for row in TEN[::-1]
    )
    for colors in ([(number, 0, 0) for number in range(16)], [(number,) * 3 for number in range(1 << bits)]):
        data = bytearray(bmp(TEN, bits, colors)[: 54 + 4 * len(colors)] + rows + b"\0\1")
        data[30] = kind
        np.testing.assert_array_equal(read(tmp_path, bytes(data)), TEN)
    data = bytearray(bmp(TWO, bits, [(0, 0, 0), (255, 255, 255)])[:62] + rows + b"\0\1")
    data[30] = kind
    assert "cannot be read (a black and white bitmap in runs)" in fault(tmp_path, bytes(data))


def test_a_picture_in_a_bitmap_of_black_and_white(tmp_path):
    path = tmp_path / "a.bmp"
    for bits in (4, 8):
        path.write_bytes(bmp(TWO, bits, [(0, 0, 0), (255, 255, 255)]))
        np.testing.assert_array_equal(image_io.image_of(path), np.repeat(TWO[..., None] * 255, 3, -1))


def test_opaque_alpha_changes_nothing(tmp_path):
    both = np.stack([IDS, np.full_like(IDS, 255)], -1)
    np.testing.assert_array_equal(read(tmp_path, png(8, 4, both)), IDS)
    np.testing.assert_array_equal(read(tmp_path, tiff(both.tobytes(), 8, channels=2, t338=(3, [2]))), IDS)
    palette = tiff(both.tobytes(), 8, 3, channels=2, t338=(3, [2]), t320=color_map(RED_FIRST))
    np.testing.assert_array_equal(read(tmp_path, palette), IDS)


def test_smaller_copies_in_a_tiff_are_left_aside(tmp_path):
    data = tiff(IDS.tobytes(), 8, pages=[{}, {254: (4, [1])}])
    np.testing.assert_array_equal(read(tmp_path, data), IDS)


def test_signed_bytes(tmp_path):
    data = tiff(FOUR.tobytes(), 8, t339=(3, [2]))
    np.testing.assert_array_equal(read(tmp_path, data), FOUR)
    assert "the mask holds the value -1;" in fault(tmp_path, tiff(b"\xff" * 48, 8, t339=(3, [2])))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("photometric", [0, None])
def test_a_tiff_in_which_0_is_white_or_that_does_not_say(tmp_path, bits, photometric):
    """Pillow gives the complements up to 8 bits and the values above."""
    rows = IDS.astype("<u2").tobytes() if bits == 16 else packed(OF_BITS[bits], bits).tobytes()
    assert "a TIFF in which 0 is white" in fault(tmp_path, tiff(rows, bits, photometric))


def test_several_pictures(tmp_path):
    assert "2 images in one file" in fault(tmp_path, tiff(IDS.tobytes(), 8, pages=[{}, {}]))
    pages = [Image.fromarray(IDS), Image.fromarray(FOUR)]
    for kind in ("gif", "png", "tiff"):
        data = io.BytesIO()
        pages[0].save(data, kind, save_all=True, append_images=pages[1:])
        assert "2 images in one file" in fault(tmp_path, data.getvalue())


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_a_mask_that_lies_on_its_side(tmp_path, orientation):
    """Pillow turns a TIFF, and leaves a PNG as it is."""
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + bytes(7)
    for data in (tiff(IDS.tobytes(), 8, t274=(3, [orientation])), png(8, 0, IDS, exif=exif)):
        assert f"stored turned or mirrored (orientation {orientation})" in fault(tmp_path, data)
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(IDS, "jpeg", exif=b"Exif\0\0" + exif))
    with pytest.raises(UsageError, match=r"stored turned or mirrored"):
        mask_of(path, black_and_white=True).read_bytes()


def test_channels_that_the_decoder_would_drop(tmp_path):
    data = np.stack([IDS, FOUR], -1).tobytes()
    assert "the mask has 2 channels" in fault(tmp_path, tiff(data, 8, channels=2, t338=(3, [0])))
    palette = tiff(data, 8, 3, channels=2, t338=(3, [0]), t320=color_map(RED_FIRST))
    assert "the mask has 2 channels" in fault(tmp_path, palette)
    assert "the mask has 2 channels" in fault(tmp_path, palette, Colors({(0, 0, 0): 0}))


def test_three_equal_channels_are_values(tmp_path):
    """As programs save a grey mask that they hold in RGB. Colours are named in the refusal, the first five."""
    grey = np.repeat(IDS[..., None], 3, -1)
    for data in (png(8, 2, grey), saved(grey, "bmp"), tiff(grey.tobytes(), 8, 2, channels=3)):
        np.testing.assert_array_equal(read(tmp_path, data), IDS)
    opaque = np.concatenate([grey, np.full((6, 8, 1), 255, np.uint8)], -1)
    np.testing.assert_array_equal(read(tmp_path, png(8, 6, opaque)), IDS)
    assert "the mask has 4 channels" in fault(
        tmp_path, tiff(np.concatenate([grey, grey[..., :1]], -1).tobytes(), 8, 2, channels=4, t338=(3, [0]))
    )
    opaque[0, 0, 3] = 128
    assert "not opaque" in fault(tmp_path, png(8, 6, opaque))
    assert "more than 8 bits" in fault(tmp_path, png(16, 2, grey.astype(int) * 257))
    several = np.stack([np.arange(48).reshape(6, 8), np.zeros((6, 8)), np.zeros((6, 8))], -1).astype(np.uint8)
    line = fault(tmp_path, png(8, 2, several))
    assert "the mask has 3 channels, with the colors [0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0] and" in line
    assert "43 more; it needs one" in line


def test_soft_opacity(tmp_path):
    both = np.stack([IDS, np.where(IDS == 7, 128, 255)], -1).astype(np.uint8)
    assert f"{(IDS == 7).sum()} pixels of the mask are not opaque" in fault(tmp_path, png(8, 4, both))


@pytest.mark.parametrize(("kind", "named"), [("webp", "WEBP"), ("ppm", "PPM")])
def test_other_formats_under_the_name_of_a_mask(tmp_path, kind, named):
    assert f"the mask is a {named}, which may change values" in fault(tmp_path, saved(IDS, kind))


def test_a_gif_that_paints_a_part(tmp_path):
    data = bytearray(saved(FOUR, "gif"))
    data[6:10] = struct.pack("<HH", 10, 9)  # the screen is larger than the picture on it
    assert "a GIF that paints a part" in fault(tmp_path, bytes(data))


# --- colors ----------------------------------------------------------------------------------------------------------

BY_COLOR = Colors({(200, 0, 0): 2, (0, 200, 0): 0, (0, 0, 200): 1, (90, 90, 90): 255, (0, 0, 0): 7})
TRUE = np.array([2, 0, 1, 255], np.uint8)[FOUR]
RGB = np.frombuffer(RED_FIRST[:12], np.uint8).reshape(4, 3)[FOUR]


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "gif"])
@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colors_are_the_same_in_rgb_and_in_a_palette(tmp_path, kind, mode):
    if mode == "RGB" and kind != "gif":
        data = saved(RGB, kind)
    else:
        image = Image.fromarray(FOUR)
        image.putpalette(RED_FIRST[:12])
        data = io.BytesIO()
        image.save(data, kind)
        data = data.getvalue()
    np.testing.assert_array_equal(read(tmp_path, data, BY_COLOR), TRUE)


def test_a_color_map_of_8_bits_in_a_tiff(tmp_path):
    """Old writers put 0..255 where 0..65535 belongs; the decoder makes all of it black."""
    data = tiff(FOUR.tobytes(), 8, 3, t320=color_map(RED_FIRST, scale=1))
    np.testing.assert_array_equal(read(tmp_path, data, BY_COLOR), TRUE)


def test_what_is_shown_of_greys_of_few_bits(tmp_path):
    np.testing.assert_array_equal(read(tmp_path, png(2, 0, FOUR), Shown()), FOUR * 85)
    np.testing.assert_array_equal(read(tmp_path, png(4, 0, TEN), Shown()), TEN * 17)
    np.testing.assert_array_equal(read(tmp_path, png(1, 0, TWO), Shown()), TWO * 255)


def test_16_bits_a_channel_are_not_cut(tmp_path):
    assert "more than 8 bits per channel" in fault(tmp_path, png(16, 2, RGB.astype(int) * 257), BY_COLOR)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_colors_that_change_on_the_way(tmp_path, mode):
    """The decoder makes RGB of a compressed YCbCr by itself."""
    for compression in ("raw", "tiff_lzw"):
        data = tiff(RGB.tobytes(), 8, 8, channels=3)
        data = data if mode == "LAB" else saved(RGB, "tiff", mode, compression=compression)
        assert f"colors in {mode}, which conversion to RGB changes" in fault(tmp_path, data, BY_COLOR)


def test_what_transparency_hides(tmp_path):
    """A clear pixel counts by the color that is stored under it, as long as no opaque pixel has that color."""
    clear = np.where(FOUR == 3, 0, 255).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(read(tmp_path, png(8, 6, np.concatenate([RGB, clear], -1)), BY_COLOR), TRUE)
    one = np.concatenate([np.full_like(RGB, 90), clear], -1)
    assert f"{(FOUR == 3).sum()} pixels of the mask are not opaque" in fault(tmp_path, png(8, 6, one), BY_COLOR)
    soft = np.concatenate([RGB, np.where(FOUR == 3, 0, 254).astype(np.uint8)[..., None]], -1)
    assert "are not opaque" in fault(tmp_path, png(8, 6, soft), BY_COLOR)


def test_what_transparency_hides_in_a_palette(tmp_path):
    data = png(8, 3, FOUR, palette=RED_FIRST[:12], clear=b"\xff\xff\xff\x00")
    np.testing.assert_array_equal(read(tmp_path, data, BY_COLOR), TRUE)
    twice = png(8, 3, FOUR, palette=RED_FIRST[:9] + RED_FIRST[:3], clear=b"\xff\xff\xff\x00")
    assert "index 3 is transparent in its palette" in fault(tmp_path, twice, BY_COLOR)
    soft = png(8, 3, FOUR, palette=RED_FIRST[:12], clear=b"\xff\x80")
    assert "index 1 is transparent in its palette" in fault(tmp_path, soft, BY_COLOR)


def test_an_index_beyond_the_palette(tmp_path):
    data = png(8, 3, FOUR, palette=RED_FIRST[:9])
    np.testing.assert_array_equal(read(tmp_path, data), FOUR)
    assert "index 3 has no color in its palette" in fault(tmp_path, data, BY_COLOR)
