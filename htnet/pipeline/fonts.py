"""Fonts for the text of figures: names of classes and files may be in any script."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from unicodedata import category

from htnet.core.lazy import loading
from htnet.core.warn import warn_user

if TYPE_CHECKING:
    from matplotlib.text import Text

#: Font families for Chinese, Japanese and Korean on Linux, Windows and macOS. They are tried before all others.
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
#: A font that ships with matplotlib and has only a placeholder box for each character.
_BOXES = "Last Resort"
#: Unicode categories of invisible characters.
_UNSEEN = ("Cc", "Cf")
#: Largest number of characters in a warning.
_NAMED = 20


def give_fonts(texts: Iterable[Text]) -> bool:
    """Add installed fonts to each text for the characters that its own fonts lack.

    Characters that no installed font has are drawn as boxes. A warning names them and the cure.

    Returns:
        Whether there is a font for every character.
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
            f"No installed font has {named}: the figure shows boxes instead. Install a font that has them, such as "
            "Noto Sans CJK for Chinese, Japanese and Korean (Debian: apt install fonts-noto-cjk), and draw again."
        )
    return not lost


def _own(families: tuple[str, ...]) -> Iterator[frozenset[int]]:
    """The characters of the fonts that matplotlib uses for a text."""
    with loading():
        from matplotlib.font_manager import FontProperties, findfont

    for family in families:
        try:
            yield _characters(findfont(FontProperties(family=[family]), fallback_to_default=False))
        except ValueError:  # there is none of this name
            continue


@functools.lru_cache(maxsize=64)
def _fonts_for(chars: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of a few fonts that together have the characters, and the characters that no font has."""
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
    """Name and file of each installed font; those of `_FIRST` come first.

    Fonts that were installed after matplotlib made its font list are added to the list.
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
    """Code points of the characters in a font file; empty if the file cannot be read."""
    with loading():
        from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
