"""The web page: users upload two pictures or a video, and get the prediction or analysis.

This package is a wing: no other part of htnet imports it, see `htnet.core.wings`. It needs ``htnet[web]``, and calls
the public `htnet.Predictor` and `htnet.pipeline.Analyzer` in separate processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from htnet.core.lazy import serve_lazy_names

if TYPE_CHECKING:
    from htnet.web.app import create_app
    from htnet.web.server import serve
    from htnet.web.settings import ServeSettings

#: Public names by the module that contains them.
_NAMES = {"app": "create_app", "server": "serve", "settings": "ServeSettings"}

__all__ = ["ServeSettings", "create_app", "serve"]

serve_lazy_names(__name__, _NAMES)
