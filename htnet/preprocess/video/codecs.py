"""Codecs that predict frames from each other and lose detail, by their names in the video readers."""

from __future__ import annotations

# By the names of FFmpeg's decoders, which PyAV reports.
_PREDICTED = {
    **dict.fromkeys(("h264", "libopenh264"), "H.264"),
    **{"hevc": "H.265", "vp8": "VP8", "libvpx": "VP8", "vp9": "VP9", "libvpx-vp9": "VP9", "theora": "Theora"},
    **dict.fromkeys(("av1", "libdav1d", "libaom-av1"), "AV1"),
    **{"mpeg1video": "MPEG-1", "mpeg2video": "MPEG-2", "h263": "H.263", "flv": "H.263", "vc1": "VC-1"},
    **dict.fromkeys(("mpeg4", "msmpeg4v1", "msmpeg4", "msmpeg4v2"), "MPEG-4"),
    **dict.fromkeys(("wmv1", "wmv2", "wmv3"), "Windows Media Video"),
}
# By the codes that OpenCV reports, in lower case. Its FFmpeg reports "h264" whatever the container calls it.
_CODES = {
    **dict.fromkeys(("h264", "avc1", "avc3", "x264", "davc"), "h264"),
    **dict.fromkeys(("hevc", "hvc1", "hev1", "h265", "x265"), "hevc"),
    **{"vp80": "vp8", "vp90": "vp9", "vp09": "vp9", "av01": "av1", "theo": "theora", "flv1": "flv", "h263": "h263"},
    **dict.fromkeys(("fmp4", "mp4v", "xvid", "divx", "dx50", "div3", "mp42", "mp43", "m4s2"), "mpeg4"),
    **dict.fromkeys(("mpg1", "mpeg"), "mpeg1video"),
    **{"mpg2": "mpeg2video", "wvc1": "vc1", "wmv1": "wmv1", "wmv2": "wmv2", "wmv3": "wmv3"},
}


def codec_by_decoder(name: str) -> str:
    """Name of such a codec, e.g. "H.264", from FFmpeg's name of the decoder; "" for any other codec."""
    return _PREDICTED.get(name, "")


def codec_by_code(code: int) -> str:
    """Name of such a codec from its FourCC, as reported by OpenCV; "" for any other codec."""
    letters = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1").lower()
    return _PREDICTED.get(_CODES.get(letters, ""), "")
