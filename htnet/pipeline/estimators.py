"""Estimators for scikit-learn: flow images of pairs, features of trained weights, and a trainable classifier."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.arrays import check_rows, is_missing, plain_array, real_array
from htnet.core.errors import InputError, refuse_columns
from htnet.core.fields import native, seed_number, whole
from htnet.core.global_state import usual_settings
from htnet.core.lazy import loading
from htnet.core.optional import require
from htnet.core.types import DEFAULT_WEIGHTS, TEMPLATE_SIZE, ByteArray, FloatArray, PreprocessSpec
from htnet.core.warn import warn_user
from htnet.core.words import spelled_alike
from htnet.models import EmotionModel
from htnet.preprocess import FlowPreprocessor, FrameSource
from htnet.preprocess.preprocessor import PUBLISHED_CHANNELS
from htnet.preprocess.regions import template_points
from htnet.training import FlowSet, TrainingJob, get_recipe, predict_set, run_job, spec_for
from htnet.training.generated_samples import check_classes

require("sklearn", "sklearn", "Using htnet as an estimator")

from sklearn.base import (  # noqa: E402
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state, column_or_1d  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

#: Number of values in a flow image: strain, v and u of each px.
VALUES = TEMPLATE_SIZE * TEMPLATE_SIZE * 3


class FlowImages(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn pairs of frames into flow images, one row per pair. There is nothing to fit.

    Each row is a flattened flow image in the published convention: (28, 28, 3), strain, v and u, 0 to 255.
    `HTNetClassifier`, `HTNetFeatures` and any other estimator can read them.
    """

    #: Number of columns, by which scikit-learn names them.
    _n_features_out = VALUES

    def __init__(
        self, landmarks: Any = "yunet", spec: PreprocessSpec | None = None, bit_depth: int | None = None
    ) -> None:
        """Store the settings.

        Args:
            landmarks: source of the landmarks, see `htnet.preprocess.FlowPreprocessor`.
            spec: how images are made from frames; by default as published.
            bit_depth: bits per value in 16-bit frames, see `htnet.preprocess.read_frame`.
        """
        self.landmarks = landmarks
        self.spec = spec
        self.bit_depth = bit_depth

    def fit(self, X: Sequence[tuple[FrameSource, FrameSource]], y: object = None) -> FlowImages:  # noqa: N803
        """Check the settings; nothing is learned from the pairs.

        Raises:
            InputError: the spec has another image size or order of channels.
        """
        self._preprocessor()
        return self

    def transform(self, X: Sequence[tuple[FrameSource, FrameSource]]) -> FloatArray:  # noqa: N803
        """Compute the flow images.

        Args:
            X: N pairs (onset, apex), see `htnet.preprocess.read_frame`.

        Returns:
            (N, 2352) float32, whole numbers 0 to 255.

        Raises:
            FrameError, LandmarkError, FlowError: a pair cannot be used; the message gives its number.

        Warns:
            UserWarning: there are reasons to doubt some images, see `htnet.preprocess.FlowPreprocessor`.
        """
        refuse_columns(X, ("onsets", "apexes"))
        pairs = list(X)
        if any(not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2 for pair in pairs):
            cure = "Give list(zip(onsets, apexes)); the columns of a table are its onsets and apexes."
            raise InputError(
                f"X must be a list of pairs (onset, apex), but an entry is not a pair of two frames. {cure}"
            )
        if not pairs:
            raise InputError("X has no pairs; give at least one pair (onset, apex).")
        images = self._preprocessor()([onset for onset, _ in pairs], [apex for _, apex in pairs])
        return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy().reshape(len(pairs), -1), dtype=np.float32)

    def _preprocessor(self) -> FlowPreprocessor:
        spec = dataclasses.replace(self.spec or PreprocessSpec(), layout="whole")
        if spec.size != TEMPLATE_SIZE or spec.channels != PUBLISHED_CHANNELS:
            raise InputError(
                f"The spec makes images of {spec.size} px with the channels {', '.join(spec.channels)}; estimators "
                f"read {TEMPLATE_SIZE} px with {', '.join(PUBLISHED_CHANNELS)}. Change the spec, or leave it out."
            )
        return FlowPreprocessor(spec, self.landmarks, bit_depth=self.bit_depth)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class FlowCells(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Average flow images over square cells, after standardizing each channel of each image. There is nothing to fit.

    This is the coarse flow that `htnet.models.FlowMLP` reads, for estimators such as a support vector machine.
    """

    def __init__(self, grid: int = 7) -> None:
        """Store the settings.

        Args:
            grid: cells per side; a divisor of 28.
        """
        self.grid = grid

    def fit(self, X: npt.ArrayLike, y: object = None) -> FlowCells:  # noqa: N803
        """Check settings and shape; nothing is learned from the images.

        Raises:
            InputError: the images have another shape, or ``grid`` does not divide their side.
        """
        self._side()
        self.n_features_in_ = flow_rows(X)[0].size
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Compute the cells, (N, 3 x grid x grid) float32: strain, v and u, row by row.

        Args:
            X: (N, 2352) or (N, 28, 28, 3) flow images, see `FlowImages`.
        """
        check_is_fitted(self, "n_features_in_")
        images, side = flow_rows(X).astype(np.float64).transpose(0, 3, 1, 2), self._side()
        grid = TEMPLATE_SIZE // side
        spread = images.std((2, 3), keepdims=True)
        images = (images - images.mean((2, 3), keepdims=True)) / np.where(spread > 0, spread, 1)  # flat channels: 0
        cells = images.reshape(len(images), 3, grid, side, grid, side).mean((3, 5))
        return np.ascontiguousarray(cells.reshape(len(images), -1), dtype=np.float32)

    @property
    def _n_features_out(self) -> int:
        """Number of columns, by which scikit-learn names them; `transform` uses the current ``grid`` too."""
        return 3 * (TEMPLATE_SIZE // self._side()) ** 2

    def _side(self) -> int:
        if not whole().allows(native(self.grid)) or TEMPLATE_SIZE % native(self.grid):
            raise InputError(f"grid is {self.grid!r}; give a divisor of {TEMPLATE_SIZE}, such as 7.")
        return TEMPLATE_SIZE // int(self.grid)


class HTNetFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn flow images into the input of the last layer of trained weights. Fitting only loads the weights."""

    def __init__(self, weights: Any = DEFAULT_WEIGHTS, device: str = "cpu", batch_size: int = 256) -> None:
        """Store the settings.

        Args:
            weights: registered weights, a weights folder, a Hub repository or a loaded model.
            device: where the model runs, also a given one; "auto" for a CUDA device where there is one.
            batch_size: images per forward pass.
        """
        self.weights = weights
        self.device = device
        self.batch_size = batch_size

    @usual_settings()
    def fit(self, X: npt.ArrayLike, y: object = None) -> HTNetFeatures:  # noqa: N803
        """Load the weights.

        Raises:
            WeightsError: they cannot be loaded.
            ModelError: the model reads faces, not flow images, or its weights are on the device meta, without values.
            InputError: the images have another shape, or the device or ``batch_size`` is impossible.
        """
        with loading():
            from htnet.hub.given import given_model
            from htnet.pipeline.predictor import check_reads_flow

        whole().check("batch_size", native(self.batch_size))
        images = flow_rows(X)
        self.model_ = given_model(self.weights, check=check_reads_flow, device=self.device).model
        self.n_features_in_ = images[0].size
        self._n_features_out = self.model_.num_features
        return self

    @usual_settings()
    def transform(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Compute the features, (N, num_features) float32.

        Args:
            X: (N, 2352) or (N, 28, 28, 3) flow images, see `FlowImages`.
        """
        check_is_fitted(self, "model_")
        whole().check("batch_size", native(self.batch_size))
        data = _flow_set(flow_rows(X), None, self.model_)
        place = next(self.model_.parameters()).device
        parts = []
        for chunk in torch.arange(len(data)).split(int(self.batch_size)):
            part = data.subset(chunk.tolist()).to(place)
            extras = part.extras(self.model_.extra_inputs)
            features = self.model_.forward_features(self.model_.check_image(part.inputs()), **extras)
            parts.append(self.model_.forward_head(features, pre_logits=True).float().cpu().numpy())
        return np.concatenate(parts)


class HTNetClassifier(ClassifierMixin, BaseEstimator):
    """A model that is trained on flow images in the same way as by `htnet train`."""

    def __init__(
        self,
        model: str = "htnet_small",
        recipe: Any = "default",
        epochs: int | None = None,
        start: Any = None,
        device: str = "cpu",
        random_state: Any = 0,
    ) -> None:
        """Store the settings.

        Args:
            model: registered model that reads flow images.
            recipe: name of a recipe, or a `htnet.training.Recipe`.
            epochs: number of epochs; by default that of the recipe.
            start: weights to start from, see `htnet.training.TrainingJob`.
            device: where to train.
            random_state: seed of weights, order and augmentation, 0 or more; None or a `numpy.random.RandomState`
                draws a seed, so two fits differ.
        """
        self.model = model
        self.recipe = recipe
        self.epochs = epochs
        self.start = start
        self.device = device
        self.random_state = random_state

    @usual_settings(grad=True)
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> HTNetClassifier:  # noqa: N803
        """Train.

        Args:
            X: (N, 2352) or (N, 28, 28, 3) flow images, see `FlowImages`. Regions are cropped at the template's points.
            y: (N,) classes, numbers or strings.

        Raises:
            InputError: the images have another shape, ``y`` has another length, fewer than two classes, or values that
                are no classes (NaN, None, numbers with a fraction); or the recipe adds generated images, which are of
                other classes.
            UnknownModelError, RecipeError: the model or the recipe does not exist.
        """
        check_rows(X=X, y=y)
        images = flow_rows(X)
        labels = _class_labels(y)
        if len(labels) != len(images):
            raise InputError(f"X has {len(images)} images, but y has {len(labels)} classes. Give one class per image.")
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y has only the class {classes.tolist()[0]!r}; training needs two or more.")
        changes = {} if self.epochs is None else {"epochs": self.epochs}
        recipe = get_recipe(self.recipe, **changes)
        names = tuple(map(_name_of, classes.tolist()))
        check_classes(recipe, names)
        seed = _seed_of(self.random_state)
        job = TrainingJob(self.model, recipe, seed, self.device, {"num_classes": len(classes)}, self.start)
        data = _flow_set(images, codes, None, self.model)
        # Without the names, a start of other classes, but as many, would pass on its classifier.
        model, _ = run_job(job.loaded(names), data)
        model.labels = names
        model.preprocess_spec = data.spec
        # All at once: after a fit that fails, the former model keeps its own classes.
        self.model_, self.classes_, self.n_features_in_ = model, classes, images[0].size
        return self

    @usual_settings()
    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Probabilities (N, classes), in the order of ``classes_``."""
        check_is_fitted(self, "model_")
        return np.asarray(predict_set(self.model_, _flow_set(flow_rows(X), None, self.model_)).numpy())

    def predict(self, X: npt.ArrayLike) -> np.ndarray[Any, Any]:  # noqa: N803
        """The most probable class of each image, (N,)."""
        chances = self.predict_proba(X)  # first, because it raises an error if the estimator is not fitted
        return np.asarray(self.classes_[chances.argmax(1)])

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:  # noqa: N803
        """Accuracy on images with known classes.

        Args:
            X: (N, 2352) or (N, 28, 28, 3) flow images, see `FlowImages`.
            y: (N,) classes. Images of classes that the training lacked count as wrong.
            sample_weight: (N,) weights of the images, 0 or more; by default, all count equally.

        Raises:
            InputError: see `fit`; or the rows of pandas objects are in different orders, ``y`` has numbers for names or
                spells a trained class differently, or the weights are impossible.

        Warns:
            UserWarning: ``y`` has none of the trained classes.
        """
        check_rows(X=X, y=y, sample_weight=sample_weight)
        found = self.predict(X)
        labels = _class_labels(y)
        if len(labels) != len(found):
            raise InputError(f"X has {len(found)} images, but y has {len(labels)} classes. Give one class per image.")
        self._check_known(labels)
        right = np.array([one == other for one, other in zip(found.tolist(), labels.tolist(), strict=True)])
        if sample_weight is None:
            return float(right.mean())
        weights = real_array(sample_weight, "sample_weight", cure="one weight per image", dtype=np.float64)
        if weights.shape != right.shape or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
            raise InputError(
                f"sample_weight has the shape {weights.shape}, or weights that are negative, not finite or all 0. Give "
                f"({len(right)},) weights of 0 or more, one per image."
            )
        # Relative to the largest one, because the sum of huge weights is infinite, and that of tiny ones is not exact.
        return float(np.average(right, weights=weights / weights.max()))

    def _check_known(self, labels: np.ndarray[Any, Any]) -> None:
        """Refuse classes of a test set that seem to be those of the training under other names."""
        known, given = self.classes_.tolist(), np.unique(labels).tolist()
        _check_spellings([name for name in (*known, *given) if isinstance(name, str)])
        if set(known) & set(given):
            return
        text = (
            f"y has none of the classes that the classifier was trained on, {', '.join(map(repr, known))}, but for "
            f"example {given[0]!r}."
        )
        if isinstance(known[0], str) != isinstance(given[0], str):
            raise InputError(f"{text} Give y with the names of the training.")
        # A fold of cross-validation may hold only a class that the others lack.
        warn_user(f"{text} All images count as wrong.")


def flow_rows(images: npt.ArrayLike) -> ByteArray:
    """Flow images (N, 28, 28, 3) uint8, from flattened rows or images.

    Raises:
        InputError: another shape, no images, values outside 0 to 255 or all about 0 to 1, or a table whose numbered
            columns are in another order.
    """
    if hasattr(images, "toarray"):
        raise InputError("X is a sparse matrix; give X.toarray().")
    _check_columns(images)
    found = plain_array(images, "X has")
    if found.ndim == 2 and found.shape[1] == VALUES:
        found = found.reshape(-1, TEMPLATE_SIZE, TEMPLATE_SIZE, 3)
    if found.shape[1:] != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3) or not len(found):
        raise InputError(
            f"X has the shape {found.shape}; give flow images as (N, {VALUES}) or (N, {TEMPLATE_SIZE}, "
            f"{TEMPLATE_SIZE}, 3), such as FlowImages makes from pairs of frames."
        )
    if found.dtype.kind not in "iuf" or not np.isfinite(found).all() or found.min() < 0 or found.max() > 255:
        raise InputError(
            "X has values outside 0 to 255, or values that are not numbers; give flow images as FlowImages makes them, "
            "unscaled: the models standardize their input."
        )
    if 0 < found.max() < 1.5:  # scaling may end a rounding error above 1
        raise InputError(
            f"All values of X are from 0 to {found.max():g}, so they seem to be divided by 255 or scaled. Give flow "
            "images of 0 to 255 as FlowImages makes them, unscaled: the models standardize their input."
        )
    return found if found.dtype == np.uint8 else np.rint(found).astype(np.uint8)


def _class_labels(y: npt.ArrayLike) -> np.ndarray[Any, Any]:
    """The classes (N,), refusing values that are no names of classes.

    Raises:
        InputError: another shape, NaN, None, numbers with a fraction, or numbers and names mixed.
    """
    if isinstance(y, (list, tuple)):
        # NumPy takes the text that a member prints, cut to the length of the longest value: two classes may become one.
        y = [value.value if isinstance(value, Enum) else value for value in y]
    labels = plain_array(y, "y has")
    if labels.dtype.kind == "c":
        raise InputError("y has complex numbers, which are not classes. Give names or whole numbers.")
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise InputError(f"y has the shape {labels.shape}; give one class per image, (N,).")
    labels = column_or_1d(labels, warn=True)
    cure = "Give the name of a class, or a whole number, for each image; leave out images without one."
    for value in labels.tolist():
        if is_missing(value) or (isinstance(value, float) and not value.is_integer()):
            raise InputError(f"y has {value!r}, which is not a class. {cure}")
    if labels.dtype == object and len({isinstance(value, str) for value in labels}) > 1:
        raise InputError(f"y mixes names and numbers. {cure}")
    _check_spellings([_name_of(value) for value in labels.tolist() if isinstance(value, (str, bytes))])
    return labels


def _name_of(value: Any) -> str:
    """The name of a class in the model: bytes as HDF5 returns them are text, and 1.0 is the class 1."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        return str(int(value))
    return str.__str__(value) if isinstance(value, str) else str(value)  # members of a str Enum print their class


def _check_spellings(names: Sequence[str]) -> None:
    if alike := spelled_alike(sorted(set(names))):
        raise InputError(
            f"y has the classes {alike[0]!r} and {alike[1]!r}, which differ only in case or blanks. Use one."
        )


def _check_columns(images: object) -> None:
    """Refuse a table whose columns are numbered, but not in the order of the numbers, as after sorting by name.

    Raises:
        InputError: the numbers at the ends of the columns' names are not in order.
    """
    names = [str(name) for name in getattr(images, "columns", ())]
    ends = [re.search(r"\d+$", name) for name in names]
    numbers = [int(end[0]) for end in ends if end]
    if len(numbers) != len(names) or len(set(numbers)) != len(names):
        return
    for place, (one, other) in enumerate(pairwise(numbers)):
        if one > other:
            raise InputError(
                f"The columns of X are not in the order of the flow image: {names[place + 1]!r} is after "
                f"{names[place]!r}. Sort them by the numbers in their names, which are those of the values in an image."
            )


def _seed_of(random_state: Any) -> int:
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return int(check_random_state(random_state).randint(2**31 - 1))
    if not seed_number().allows(native(random_state)):
        raise InputError(
            f"random_state is {random_state!r}; give a whole number of 0 or more, a numpy.random.RandomState, or None."
        )
    return int(random_state)


def _flow_set(
    images: ByteArray, codes: npt.NDArray[np.int64] | None, model: EmotionModel | None, name: str = ""
) -> FlowSet:
    """Images as a `FlowSet` for a model; regions are cropped at the template's points."""
    spec = (None if model is None else model.preprocess_spec) or spec_for(name if model is None else model.name)
    if spec.size != TEMPLATE_SIZE:
        raise InputError(
            f"The model reads images of {spec.size} px, but estimators use {TEMPLATE_SIZE} px. Use another model."
        )
    count = len(images)
    order = [PUBLISHED_CHANNELS.index(channel) for channel in spec.channels]
    stacked = torch.from_numpy(np.ascontiguousarray(images[..., order])).permute(0, 3, 1, 2).contiguous()
    points = template_points(spec)[None].repeat(count, 1, 1)
    labels = torch.zeros(count, dtype=torch.long) if codes is None else torch.from_numpy(np.asarray(codes, np.int64))
    return FlowSet(stacked, points, labels, spec, ("template",) * count)
