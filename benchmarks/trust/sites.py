"""Every place in htnet that reads a file, found in the code, and whether a reader of the fuzzer comes there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import htnet

PACKAGE = Path(htnet.__file__).parent

#: What opens or decodes files, by its last name.
_OPENERS = {
    *("read_text", "read_bytes", "read_file", "read_json", "picture_bytes", "decode_picture"),
    *("load_file", "safe_open", "load_workbook", "open_workbook", "imdecode", "VideoCapture", "fromfile", "memmap"),
    *(
        "open_table",
        "read_table",
        "read_rows",
        "read_sheet",
        "read_tables",
        "csv_tables",
        "first_rows",
        "read_csv_text",
    ),
    *("parse_json", "sha256_of"),
    *("genfromtxt", "loadtxt", "fromstring", "iterparse", "ZipFile", "TarFile", "Unpickler", "_Unpickler", "connect"),
}
#: The same, with the module that it belongs to.
_WITH_OWNER = {"np.load", "torch.load", "av.open", "json.load", "pickle.load", "ElementTree.parse", "gzip.open"}
#: Places that read no file from strangers, and what they read.
EXEMPT = {
    "htnet.acceleration.engines:quantized": "what it has just written",
    "htnet.core.bytecode:source_of.read": "the user's own code",
    "htnet.core.bytecode:text_or_file": "a file that the user's own code names; only its hash is kept",
    "htnet.core.native:_bytes": "what htnet has compiled, in a folder that others cannot write",
    "htnet.core.ownership:_installed": "what is installed",
    "htnet.core.ownership:_named": "what is installed",
    "htnet.core.ownership:_stated": "what is installed",
    "htnet.core.ownership:version_of": "the user's own code",
    "htnet.core.processor:is_intel": "the system",
    "htnet.core.schema:read_schema": "the package",
    "htnet.hub.exporting:_as_openvino": "what it has just written",
    "htnet.hub.registry:_bundled": "the package",
    "htnet.hub.verified:is_what_was_announced": "the cache of the Hub; see the family hub",
    "htnet.palsy.cli:_evaluate": "what it has just written",
    "htnet.pipeline.doctor:_cpu_limit": "the system",
    "htnet.pipeline.doctor:_flow": "the package",
    "htnet.pipeline.doctor:_opencv": "the package",
    "htnet.pipeline.doctor:_weights": "the package",
    "htnet.pipeline.doctor:stored_input_scores": "the package",
    "htnet.preprocess.landmarks.detector:_read_model": "YuNet's model: its SHA-256 decides before anything is read",
    "htnet.preprocess.video.readers:open_camera": "a camera",
    "htnet.recordings.kept:_code": "the package",
    "htnet.synthesis.recordings.write:generator_hash": "the package",
    "htnet.synthesis.recordings.write:synthesize_recordings": "compared with what it would write, byte for byte",
}
_WRITES = ("w", "a", "x", "+")


def sites() -> frozenset[str]:
    """All of them, as "module:function"."""
    return frozenset(site for path in sorted(PACKAGE.rglob("*.py")) for site in _in_file(path))


def _in_file(path: Path) -> Iterator[str]:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    tree = ast.parse(path.read_text("utf-8"))

    def visit(node: ast.AST, name: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = (*name, node.name)
        if isinstance(node, ast.Call) and opens(node):
            yield f"{module}:{'.'.join(name) or '<module>'}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, name)

    yield from visit(tree, ())


def opens(call: ast.Call) -> bool:
    """Whether a call opens or decodes a file to read it."""
    name = ast.unparse(call.func)
    last = name.rsplit(".", 1)[-1]
    if last == "open" and name not in ("os.open", "encoder.open", "archive.open"):
        mode = next((k.value for k in call.keywords if k.arg == "mode"), None)
        at = 1 if name in ("open", "io.open", "av.open") else 0
        mode = call.args[at] if mode is None and len(call.args) > at else mode
        text = mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else "r"
        return not any(letter in text for letter in _WRITES)
    return last in _OPENERS or name in _WITH_OWNER


def reached(read: Iterable[Callable[[], object]]) -> frozenset[str]:
    """The functions of htnet, as "module:function", that are called while files are read; errors are let pass."""
    names = {str(path): path for path in PACKAGE.rglob("*.py")}
    seen: set[tuple[str, int]] = set()

    def watch(frame: object, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code  # type: ignore[attr-defined]
            seen.add((code.co_filename, code.co_firstlineno))

    import threading

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        for one in read:
            try:
                one()
            except Exception:  # samples are whole, but not all are accepted
                continue
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return frozenset(name for file, path in names.items() for name in _called(path, seen, file))


def _called(path: Path, seen: set[tuple[str, int]], file: str) -> Iterator[str]:
    lines = {line for other, line in seen if other == file}
    if not lines:
        return
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def visit(node: ast.AST, name: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = (*name, node.name)
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first in lines:
                yield f"{module}:{'.'.join(name)}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, name)

    yield from visit(ast.parse(path.read_text("utf-8")), ())
