"""Old names that still work, with a `DeprecationWarning`, until the next release.

Old names are listed here and nowhere else in the package.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, ParamSpec, TypeVar

from htnet.core.lazy import loading
from htnet.core.warn import warn_user

P = ParamSpec("P")
T = TypeVar("T")
#: Converts the value of a renamed field, there and back.
Conversion = Callable[[Any], Any]

#: Modules that moved: old path and new path.
MODULES: Mapping[str, str] = MappingProxyType(
    {
        "htnet.bootstrap": "htnet.evaluation.bootstrap",
        "htnet.cli.options": "htnet.core.command_line",
        "htnet.cli.palsy": "htnet.palsy.cli",
        "htnet.csv_files": "htnet.core.csv_files",
        "htnet.data.datasets.casme2": "htnet.data.datasets.casme",
        "htnet.doors": "htnet.core.hints",
        "htnet.facs": "htnet.core.facs",
        "htnet.identity": "htnet.core.identity",
        "htnet.inference": "htnet.acceleration",
        "htnet.inference.compiled": "htnet.acceleration.compiled",
        "htnet.inference.fold": "htnet.acceleration.fusion",
        "htnet.inference.folds": "htnet.acceleration.algebra",
        "htnet.inference.hierarchical": "htnet.acceleration.fusion",
        "htnet.inference.layers": "htnet.acceleration.layers",
        "htnet.inference.linear": "htnet.acceleration.layers",
        "htnet.inference.model": "htnet.acceleration.optimized",
        "htnet.inference.optimize_model": "htnet.acceleration.optimized",
        "htnet.inference.others": "htnet.acceleration.fusion",
        "htnet.inference.precision": "htnet.acceleration.layers",
        "htnet.jobs": "htnet.core.parallel",
        "htnet.models.convert_palsy": "htnet.palsy.convert",
        "htnet.models.enhanced": "htnet.palsy.enhanced",
        "htnet.models.micro_attention": "htnet.palsy.micro_attention",
        "htnet.models.palsy": "htnet.palsy.model",
        "htnet.models.roi": "htnet.palsy.roi",
        "htnet.models.checkpoint_files": "htnet.models.converters.files",
        "htnet.models.checkpoint_states": "htnet.models.converters.states",
        "htnet.models.checkpoints": "htnet.models.converters.base",
        "htnet.models.convert": "htnet.models.converters.convert",
        "htnet.models.convert_dual_stream": "htnet.models.converters.dual_stream",
        "htnet.models.convert_htnet": "htnet.models.converters.htnet",
        "htnet.models.convert_mhssa_gcn": "htnet.models.converters.mhssa_gcn",
        "htnet.network": "htnet.core.network",
        "htnet.optional": "htnet.core.optional",
        "htnet.overwrite": "htnet.core.files",
        "htnet.prepare.engine": "htnet.data.prepare.workers",
        "htnet.prepare.keys": "htnet.data.prepare.keys",
        "htnet.prepare.report": "htnet.data.prepare.report",
        "htnet.prepare.run": "htnet.data.prepare.run",
        "htnet.prepare.spec": "htnet.data.prepared",
        "htnet.prepare.store": "htnet.data.prepare.store",
        "htnet.preprocess.asymmetry": "htnet.palsy.asymmetry",
        "htnet.preprocess.clip": "htnet.preprocess.video.clip",
        "htnet.preprocess.clip_files": "htnet.preprocess.video.clip_files",
        "htnet.preprocess.clip_quality": "htnet.preprocess.video.clip_quality",
        "htnet.preprocess.colour": "htnet.preprocess.flow.color",
        "htnet.preprocess.containers": "htnet.preprocess.video.containers",
        "htnet.preprocess.face_motion": "htnet.preprocess.video.face_motion",
        "htnet.preprocess.mirror": "htnet.palsy.mirror",
        "htnet.preprocess.motion": "htnet.preprocess.flow.motion",
        "htnet.preprocess.spotting": "htnet.preprocess.video.spotting",
        "htnet.preprocess.tvl1": "htnet.preprocess.flow.tvl1",
        "htnet.preprocess.tvl1_compiled": "htnet.preprocess.flow.tvl1_compiled",
        "htnet.preprocess.tvl1_solver": "htnet.preprocess.flow.tvl1_solver",
        "htnet.preprocess.tvl1_triton": "htnet.preprocess.flow.tvl1_triton",
        "htnet.preprocess.video_readers": "htnet.preprocess.video.readers",
        "htnet.preprocess.warp": "htnet.preprocess.flow.warp",
        "htnet.samples": "htnet.data.reader",
        "htnet.schema": "htnet.core.schema",
        "htnet.training.face_augment": "htnet.palsy.face_augment",
        "htnet.training.faces": "htnet.palsy.faces",
        "htnet.training.companions": "htnet.training.generated_samples",
        "htnet.training.generated": "htnet.training.pretrain",
        "htnet.training.loop": "htnet.training.trainer",
        "htnet.training.progress": "htnet.training.state",
        "htnet.training.step": "htnet.training.gradients",
        "htnet.training.streams": "htnet.training.rng",
        "htnet.training.together": "htnet.training.vmapped",
    }
)

#: Classes of optimized models, which pickle files refer to: by module, old name and new name.
_FUSED = {
    "layers": {
        "As": "InDtype",
        "FoldedBlock": "FusedBlock",
        "FoldedDownsample": "FusedDownsample",
        "FoldedLinear": "FusedLinear",
        "FoldedMlp": "FusedMlp",
        "Through": "RoundTrip",
    },
    "fusion": {"FoldedMHSSAGCN": "FusedMHSSAGCN", "FoldedSTSTNet": "FusedSTSTNet"},
}

#: Names that moved to another module or changed: old and new full name; "()" marks values that are functions now.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        **{
            f"htnet.acceleration.{module}.{old}": f"htnet.acceleration.{module}.{new}"
            for module, names in _FUSED.items()
            for old, new in names.items()
        },
        **{
            f"htnet.errors.{name}": f"htnet.core.errors.{name}"
            for name in ("about_sample", "cause", "did_you_mean", "refuse_unknown")
        },
        **{
            f"htnet.export.{name}": f"htnet.pipeline.export.{name}"
            for name in ("CODE_MARK", "TABLE_ENDINGS", "check_table_name", "csv_header", "warning_codes")
        },
        "htnet.export.prediction_to_dict": "htnet.types.Prediction.to_dict",
        "htnet.export.spotting_to_dict": "htnet.types.Spotting.to_dict",
        "htnet.plots.SHOWN_UNITS": "htnet.core.facs.SHOWN_UNITS",
        "htnet.plots.draw_warnings": "htnet.pipeline.plots.draw_warnings",
        **{
            f"htnet.preprocess.flow.{name}": f"htnet.preprocess.{name}"
            for name in (
                "compute_flow",
                "flow_image",
                "is_motionless",
                "optical_strain",
                "read_flow_image",
                "write_flow_image",
            )
        },
        "htnet.preprocess.flow.check_flow": "htnet.preprocess.flow.compute.check_flow",
        "htnet.preprocess.video.FRAME_ENDINGS": "htnet.preprocess.video.open.FRAME_ENDINGS",
        "htnet.preprocess.video.Video": "htnet.preprocess.Video",
        "htnet.preprocess.video.natural_key": "htnet.preprocess.video.open.natural_key",
        "htnet.preprocess.video.open_video": "htnet.preprocess.open_video",
        "htnet.kernels.NEIGHBOURS": "htnet.kernels.NEIGHBORS",
        "htnet.kernels.neighbour_mask": "htnet.kernels.neighbor_mask",
        "htnet.preprocess.colour_wheel": "htnet.preprocess.color_wheel",
        "htnet.preprocess.colour_wheel_legend": "htnet.preprocess.color_wheel_legend",
        "htnet.core.schema.VERSIONS": "htnet.core.schema.versions()",
        "htnet.types.WEIGHTS_NAMES": "htnet.core.registry.WEIGHTS",
        "htnet.types.file_stem": "htnet.core.types.file_stem",
        "htnet.types.model_part": "htnet.core.schema.model_part",
        "htnet.models.HOUSE_BRACKMANN": "htnet.palsy.HOUSE_BRACKMANN",
        "htnet.models.HTNetEnhanced": "htnet.palsy.HTNetEnhanced",
        "htnet.models.HTNetEnhancedConfig": "htnet.palsy.HTNetEnhancedConfig",
        "htnet.models.HTNetPalsy": "htnet.palsy.HTNetPalsy",
        "htnet.models.HTNetPalsyConfig": "htnet.palsy.HTNetPalsyConfig",
        "htnet.models.PalsyMaps": "htnet.palsy.PalsyMaps",
        "htnet.preprocess.FaceAsymmetry": "htnet.palsy.FaceAsymmetry",
        "htnet.preprocess.RegionAsymmetry": "htnet.palsy.RegionAsymmetry",
        "htnet.preprocess.face_asymmetry": "htnet.palsy.face_asymmetry",
        "htnet.training.FaceAugmentation": "htnet.palsy.FaceAugmentation",
        "htnet.training.FaceSet": "htnet.palsy.FaceSet",
        "htnet.training.augment_faces": "htnet.palsy.augment_faces",
        "htnet.training.load_face_set": "htnet.palsy.load_face_set",
        "htnet.training.check_start": "htnet.training.check_wise_ft",
        "htnet.training.refuse_unstackable": "htnet.training.refuse_not_vmappable",
        "htnet.training.train_together": "htnet.training.train_vmapped",
    }
)

#: Options of commands that changed: by command, old option and new option.
OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "predict": {"--model": "--weights", "--stop": "--to-frame"},
        "spot": {"--stop": "--to-frame"},
        "python -m htnet.preprocess": {"--colour": "--color"},
        "palsy prepare": {"--jobs": "--workers"},
        "palsy train": {"--from": "--start"},
        "palsy evaluate": {"--model": "--weights"},
        "palsy predict": {"--model": "--weights"},
        "palsy visualize": {"--model": "--weights"},
        "loso": {"--jobs": "--workers", "--stack": "--vmap-folds"},
        "lodo": {"--jobs": "--workers", "--stack": "--vmap-folds"},
        "prepare": {"--jobs": "--workers"},
    }
)

#: Keyword arguments that changed, by function or class: old name and new name.
ARGUMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "htnet.data.prepare.run.prepare": {"jobs": "workers"},
        "htnet.evaluation.runner.lodo": {"jobs": "workers", "stack": "vmap_folds"},
        "htnet.evaluation.runner.loso": {"jobs": "workers", "stack": "vmap_folds"},
        "htnet.hub.publish.push_to_hub": {"message": "commit_message"},
        "htnet.palsy.predictor.GradePredictor": {"model": "weights"},
        "htnet.palsy.prepare.prepare_faces": {"jobs": "workers"},
        "htnet.palsy.train.train_palsy": {"source": "start"},
        "htnet.pipeline.predictor.Predictor": {"model": "weights"},
        "htnet.pipeline.calls.predict": {"model": "weights"},
        "htnet.pipeline.calls.predict_video": {"model": "weights"},
        "htnet.preprocess.contrast.clahe": {"grey": "gray"},
        "htnet.preprocess.video.open.open_video": {"stop": "to_frame"},
        "htnet.training.averaging.check_wise_ft": {"begun": "started"},
    }
)


def frame_before(number: Any) -> Any:
    """The last frame to read where the first one not to read was given; anything else unchanged, to be refused."""
    if isinstance(number, str):
        return str(frame_before(int(number))) if number.isdecimal() else number
    return number - 1 if isinstance(number, int) and not isinstance(number, bool) else number


#: Old arguments and options whose value changes too: how the new value is written, and what computes it.
VALUES: Mapping[str, tuple[str, Callable[[Any], Any]]] = MappingProxyType({"stop": ("N-1", frame_before)})

#: Values of arguments that are written differently: by argument, old value and new value.
WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType({"mask": {"neighbours": "neighbors"}})

#: Attributes that have another name, by class: old name and new name.
ATTRIBUTES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "EmotionModel": {"licence": "license", "repeatable": "cuda_graph_safe"},
        "LosoResult": {"cut_counts": "regions_at_counts"},
        "FlowSet": {"cut_at": "regions_at", "cut_counts": "regions_at_counts"},
        "Predictor": {"flow": "flow_image"},
        "PretrainedSpec": {"licence": "license"},
        "UnitPrediction": {"left": "subject_left", "right": "subject_right"},
    }
)

#: Keys of ``training`` in `htnet.hub.save_pretrained` and in a ``config.json``: old name and new name.
TRAINING_KEYS: Mapping[str, str] = MappingProxyType({"licence": "license"})

#: Keys of a run's ``run.json`` and ``summary.json``: old name and new name.
RUN_KEYS: Mapping[str, str] = MappingProxyType({"regions_cut_at": "regions_at"})


def renamed_attributes(decorated: type[T]) -> type[T]:
    """Let objects of a class in `ATTRIBUTES` also accept their old attribute names."""
    for old, new in ATTRIBUTES[decorated.__name__].items():

        def get(self: Any, old: str = old, new: str = new) -> Any:
            warn_renamed(f"{decorated.__name__}.{old}", f"{decorated.__name__}.{new}")
            return getattr(self, new)

        setattr(decorated, old, property(get))
    if dataclasses.is_dataclass(decorated):
        fields = {field.name for field in dataclasses.fields(decorated)}
        names = {old: new for old, new in ATTRIBUTES[decorated.__name__].items() if new in fields}
        decorated.__init__ = _taking_old_names(decorated.__init__, names)  # type: ignore[method-assign]
        _unpickled_by_old_names(decorated, {old: (new, lambda value: value) for old, new in names.items()})
    return decorated


def _unpickled_by_old_names(kind: type, fields: Mapping[str, tuple[str, Conversion]]) -> None:
    """Rename the fields of dataclass objects that were pickled with old field names."""

    def set_state(self: Any, state: Mapping[str, Any]) -> None:
        self.__dict__.update(new_fields(state, fields))

    kind.__setstate__ = set_state  # type: ignore[attr-defined]


#: Options that became commands of their own: the command, the option and its value, and the new command.
COMMANDS: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {("loso", "--leave", "dataset"): "lodo", ("loso", "--leave", "subject"): "loso"}
)

#: Functions with a former argument that selected what separate functions do now: the argument, and the function for
#: each of its values.
CALLS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {"loso": ("leave", {"subject": "htnet.evaluation.loso", "dataset": "htnet.evaluation.lodo"})}
)

#: Fields of recipes that changed, also in files: old name, new name and the conversion of the value.
RECIPE_FIELDS: Mapping[str, tuple[str, Conversion]] = MappingProxyType(
    {
        "average": ("ema_decay", lambda value: value),
        "start_share": ("wise_ft_alpha", lambda share: 1 - share),
    }
)


def warn_renamed(old: str, new: str) -> None:
    """Warn that ``old`` is now called ``new``."""
    warn_user(f"{old} is deprecated and will be removed in the next release: use {new}.", DeprecationWarning)


def moved_name(module: str, name: str) -> Any:
    """The object that the old ``name`` of ``module`` refers to now.

    Raises:
        AttributeError: the module never had such a name.
    """
    new = NAMES.get(f"{module}.{name}")
    if new is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    # `from package import name` calls this twice, first to check whether the name exists.
    # A module's own __getattr__ may be in between.
    if "_handle_fromlist" not in {sys._getframe(depth).f_code.co_name for depth in (1, 2)}:
        warn_renamed(f"{module}.{name}", new)
    return _named(new)


def serve_old_names(module: str) -> None:
    """Let a module also provide its old names in `NAMES`; the module calls this with its own name."""
    vars(sys.modules[module])["__getattr__"] = functools.partial(moved_name, module)


def _named(name: str) -> Any:
    """The object that a full name of `NAMES` stands for: an attribute of a module or class, or a function's result."""
    called = name.endswith("()")
    where, *path = re.split(r"\.(?=[A-Z_])|\.(?=[^.]*$)", name.removesuffix("()"))
    with loading():
        value: Any = functools.reduce(getattr, path, importlib.import_module(where))
    return value() if called else value


def renamed_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function of `ARGUMENTS` also accept the old names of its keyword arguments."""
    name = f"{function.__module__}.{function.__qualname__}".removesuffix(".__init__")
    return _taking_old_names(function, ARGUMENTS[name])


def renamed_value(argument: str, value: str) -> str:
    """The value of an argument of `WORDS`; an old value is replaced by the new one."""
    if (new := WORDS[argument].get(value)) is None:
        return value
    warn_renamed(f"{argument}={value!r}", f"{argument}={new!r}")
    return new


def _taking_old_names(function: Callable[P, T], names: Mapping[str, str]) -> Callable[P, T]:
    called = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for old in names.keys() & kwargs.keys():
            new = names[old]
            if new in kwargs:
                raise TypeError(f"{called}() got both {old!r} (deprecated) and {new!r}: give {new!r}.")
            written, convert = VALUES.get(old, ("...", None))
            warn_renamed(f"{called}({old}=...)", f"{new}={written}")
            value = kwargs.pop(old)
            kwargs[new] = convert(value) if convert else value
        return function(*args, **kwargs)

    return call


def renamed_options(words: Sequence[str], module: str | None = None) -> list[str]:
    """The arguments of a command with old options replaced by new ones; a notice is printed to standard error.

    Args:
        words: arguments of an ``htnet`` command, or those after ``module``.
        module: for example "python -m htnet.preprocess".
    """
    words = words if module is not None else _renamed_command([part for word in words for part in _split_option(word)])
    names = (module,) if module is not None else (" ".join(words[:2]), " ".join(words[:1]))
    command = next((name for name in names if name in OPTIONS), None)
    if command is None:
        return list(words)
    said = command if module is not None else f"htnet {command}"
    out: list[str] = []
    convert: Callable[[Any], Any] | None = None
    for word in words:
        option, equals, value = word.partition("=")
        if (new := OPTIONS[command].get(option)) is not None:
            written, convert = VALUES.get(option.removeprefix("--"), ("", None))
            use = f"{new} {written}".rstrip()
            print(
                f"{said}: {option} is deprecated and will be removed in the next release: use {use}.", file=sys.stderr
            )
            word = f"{new}={convert(value) if convert else value}" if equals else new
            convert = None if equals else convert
        elif convert is not None:
            word, convert = convert(word), None
        out.append(word)
    return out


def _split_option(word: str) -> list[str]:
    """Split ``--leave=dataset`` in two; only the options of `COMMANDS` are split."""
    option, equals, value = word.partition("=")
    return [option, value] if equals and any(option == known for _, known, _ in COMMANDS) else [word]


def _renamed_command(words: list[str]) -> list[str]:
    for (command, option, value), new in COMMANDS.items():
        places = [i for i in range(1, len(words) - 1) if words[i : i + 2] == [option, value]]
        if words[:1] == [command] and places:
            text = (
                f"htnet {command}: {option} {value} is deprecated and will be removed in the next release: use htnet "
                f"{new}."
            )
            print(text, file=sys.stderr)
            return [new, *words[1 : places[0]], *words[places[0] + 2 :]]
    return words


def moved_calls(function: Callable[P, T]) -> Callable[P, T]:
    """Redirect calls with a former argument of `CALLS` to the function that replaced it."""
    argument, functions = CALLS[function.__name__]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if argument not in kwargs:
            return function(*args, **kwargs)
        value = kwargs.pop(argument)
        if value not in functions:
            raise TypeError(f"{argument} is {value!r} (and deprecated): use {' or '.join(functions.values())}.")
        new = functions[str(value)]
        warn_renamed(f"{function.__name__}({argument}={value!r})", new)
        result: T = _named(new)(*args, **kwargs)
        return result

    return call


def gathered_arguments(into: str, make: Callable[..., Any], *names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function accept former keyword arguments that are now fields of its argument ``into``, made by ``make``."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if given := {name: kwargs.pop(name) for name in names if name in kwargs}:
                old = ", ".join(f"{name}=..." for name in given)
                if into in kwargs:
                    raise TypeError(f"{function.__name__}() got both {into!r} and {old} (deprecated): give {into!r}.")
                kwargs[into] = job = make(**given)
                warn_renamed(f"{function.__name__}({old})", f"{into}={type(job).__name__}({old})")
            return function(*args, **kwargs)

        return call

    return decorate


def new_keys(data: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """The same values with old keys renamed."""
    return {keys.get(key, key): value for key, value in data.items()}


def new_fields(data: Mapping[str, Any], fields: Mapping[str, tuple[str, Conversion]]) -> dict[str, Any]:
    """The content of a file with old fields renamed and converted; files with old fields stay valid indefinitely."""
    known = {old: fields[old] for old in data if old in fields}
    values = {name: value for name, value in data.items() if name not in known}
    return values | {new: convert(data[old]) for old, (new, convert) in known.items()}


def renamed_fields(fields: Mapping[str, tuple[str, Conversion]]) -> Callable[[type[T]], type[T]]:
    """Let a dataclass also be created with, and read by, the old names of its fields."""

    def decorate(kind: type[T]) -> type[T]:
        init: Callable[..., None] = kind.__init__

        @functools.wraps(init)
        def renaming(self: T, *args: Any, **kwargs: Any) -> None:
            for old in fields.keys() & kwargs.keys():
                new, convert = fields[old]
                if new in kwargs:
                    raise TypeError(f"{kind.__name__}() got both {old!r} (deprecated) and {new!r}: give {new!r}.")
                warn_renamed(f"{kind.__name__}({old}=...)", f"{new}=...")
                kwargs[new] = convert(kwargs.pop(old))
            init(self, *args, **kwargs)

        def reader(old: str) -> property:
            new, convert = fields[old]

            def read(self: T) -> Any:
                warn_renamed(f"{kind.__name__}.{old}", f"{kind.__name__}.{new}")
                return convert(getattr(self, new))

            return property(read)

        for name, value in {"__init__": renaming, **{old: reader(old) for old in fields}}.items():
            setattr(kind, name, value)
        _unpickled_by_old_names(kind, fields)
        return kind

    return decorate


class _MovedModule(Loader):
    """Loads the module at the new path under the old path."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warn_renamed(spec.name, self.new)
        with loading():
            module = importlib.import_module(self.new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has set the old path's spec on the module, which would break reloading and pickling.
        module.__spec__ = self._spec


class _MovedModules(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        new = MODULES.get(fullname)
        return None if new is None else ModuleSpec(fullname, _MovedModule(new))


def install() -> None:
    """Let ``import`` find moved modules under their old paths; once per process."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        # First, because the ordinary finder would load a submodule of a moved package a second time.
        sys.meta_path.insert(0, _MovedModules())
