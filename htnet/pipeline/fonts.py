"""Fonts for the characters of a figure: names of classes and files may be in any script."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from unicodedata import category

from htnet.core.lazy import loading
from htnet.core.warn import warn_user

if TYPE_CHECKING:
    from matplotlib.text import Text

#: Looked at first: families that are made for Chinese, Japanese and Korean, on Linux, Windows and macOS. Others follow.
_FIRST = (
    "Noto Sans CJK",
    "Source Han Sans",
    "WenQuanYi",
    "Microsoft YaHei",
    "PingFang",
    "Hiragino Sans",
    "Yu Gothic",
    "Malgun Gothic",
    "SimHei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
#: A font that matplotlib brings along has a box for each character, and is none that shows them.
_BOXES = "Last Resort"
#: Categories of characters that have no shape.
_UNSEEN = ("Cc", "Cf")
#: Characters that a warning names.
_NAMED = 20


def give_fonts(texts: Iterable[Text]) -> bool:
    """Let each text use an installed font for characters that its own fonts lack.

    Characters that no installed font has are drawn as boxes, with a warning that names them and the cure.

    Returns:
        Whether all texts can be read.
    """
    lost: dict[str, None] = {}
    for text in texts:
        families = list(text.get_fontfamily())
        missing = {char for char in text.get_text() if not char.isspace() and category(char) not in _UNSEEN}
        missing -= {char for char in missing if any(ord(char) in has for has in _own(tuple(families)))}
        if not missing:
            continue
        found, left = _fonts_for(frozenset(missing))
        if found:
            text.set_fontfamily([*families, *(name for name in found if name not in families)])
        lost |= dict.fromkeys(sorted(left))
    if lost:
        named = "".join(list(lost)[:_NAMED]) + (" ..." if len(lost) > _NAMED else "")
        warn_user(
            f"No installed font has {named}: the figure shows boxes in their place. Install one that has them, such as "
            "Noto Sans CJK for Chinese, Japanese and Korean (Debian: apt install fonts-noto-cjk), and draw again."
        )
    return not lost


def _own(families: tuple[str, ...]) -> Iterator[frozenset[int]]:
    """The characters of the fonts that matplotlib takes for a text."""
    with loading():
        from matplotlib.font_manager import FontProperties, findfont

    for family in families:
        try:
            yield _characters(findfont(FontProperties(family=[family]), fallback_to_default=False))
        except ValueError:  # there is none of this name
            continue


@functools.lru_cache(maxsize=64)
def _fonts_for(chars: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of as few fonts as have the characters, and the characters that none has."""
    found: list[str] = []
    left = set(chars)
    while left:
        best, most = "", set[str]()
        for name, path in _installed():
            has = {char for char in left if ord(char) in _characters(path)}
            if len(has) > len(most):
                best, most = name, has
            if most == left:
                break
        if not most:
            break
        found.append(best)
        left -= most
    return tuple(found), frozenset(left)


def _installed() -> list[tuple[str, str]]:
    """Name and file of each installed font, those for many characters first.

    Fonts that were installed after matplotlib made its list are added to it.
    """
    with loading():
        from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # no font, or damaged
                continue
    fonts = {entry.name: entry.fname for entry in fontManager.ttflist if not entry.name.startswith(_BOXES)}
    return sorted(fonts.items(), key=lambda font: (_rank(font[0]), font[0]))


def _rank(name: str) -> int:
    return next((k for k, first in enumerate(_FIRST) if name.startswith(first)), len(_FIRST))


@functools.lru_cache(maxsize=4096)
def _characters(path: str) -> frozenset[int]:
    """Code points of the characters that a font file has; none of a file that cannot be read."""
    with loading():
        from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
