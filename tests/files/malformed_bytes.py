"""Bytes under the names of pictures and videos that are none, or lie about what follows."""

import struct

import numpy as np

GIF_HEAD = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

BYTES = {
    "empty.gif": b"",
    "one_byte.mp4": b"\0",
    "zeros.mp4": bytes(5000),
    "noise.avi": np.random.default_rng(0).bytes(5000),
    "text.mp4": b"just some words\n" * 50,
    "page.gif": b"<!DOCTYPE html><html><body>404</body></html>",
    "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "archive.webm": b"PK\x03\x04" + bytes(60),
    "document.tiff": b"%PDF-1.7\n",
    "hls.mp4": PLAYLIST,
    "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "dash.mp4": b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
    "session.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "no_frames.gif": GIF_HEAD + b";",
    "only_comment.gif": GIF_HEAD + b"\x21\xfe\x05hello\0;",
    "no_colours.gif": GIF_HEAD[:11],
    "stray_block.gif": GIF_HEAD + b"\x99\x99;",
    "bomb.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;",
    "many.gif": b"GIF89a"
    + struct.pack("<HHBBB", 9000, 9000, 0, 0, 0)
    + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0" * 500
    + b";",
    "bomb.png": PNG_HEAD + struct.pack(">IIBBBBBI", 60000, 60000, 8, 6, 0, 0, 0, 0),
    "no_area.png": PNG_HEAD + struct.pack(">IIBBBBBI", 0, 0, 8, 6, 0, 0, 0, 0),
    "bomb.bmp": b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 50000, 50000, 1, 24, 0, 0, 0, 0, 0, 0),
    "head.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "head.avi": b"RIFF\0\0\0\0AVI LIST",
    "head.mkv": b"\x1a\x45\xdf\xa3\x80",
    "head.jpg": b"\xff\xd8\xff\xe0",
    "head.tiff": b"II*\0\xff\xff\xff\xff",
    "loop.tiff": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "head.mp4": b"\0\0\0\x14ftypisom\0\0\0\0isom",
    "huge_box.mp4": b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x01moov" + b"\xff" * 8,
    "nested.mp4": b"\0\0\0\x14ftypisom\0\0\0\0isom"
    + b"".join(struct.pack(">I4s", 8 * n, b"moov") for n in range(500, 0, -1)),
    "picture.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
}
