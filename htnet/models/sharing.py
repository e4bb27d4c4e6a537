"""Methods that save, publish and load a model, like those of the mixin of huggingface-hub."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from htnet.core.errors import ModelError
from htnet.core.paths import as_path
from htnet.core.provenance import Provenance
from htnet.core.registry import HUB

Self = TypeVar("Self", bound="SharedModel")

#: Arguments of the mixin that are not supported, and what to use instead.
_OTHERS = {
    "config": "config.json has the model's own settings: give those to htnet.create_model or from_pretrained.",
    "model_card_kwargs": "The card is made from training= and provenance=.",
    "map_location": "Give device=.",
    **dict.fromkeys(("allow_patterns", "ignore_patterns", "delete_patterns"), "A weights folder is published whole."),
}


def _refuse_others(given: Mapping[str, Any]) -> None:
    """Raise `ModelError` for an argument of the mixin that is not supported."""
    for name in given:
        if name in _OTHERS:
            raise ModelError(f"{name} is an argument of the Hub's mixin, not of htnet's models. {_OTHERS[name]}")


class SharedModel:
    """Methods of a model for weights folders and the Hub; names and arguments are those of the Hub's mixin."""

    #: Folders that this model saved its weights to.
    _saved: set[tuple[int, Path]]

    def save_pretrained(
        self,
        save_directory: str | PathLike[str],
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        overwrite: bool | None = None,
        recipe: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        people: Any = None,
        provenance: Provenance | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write a weights folder with `htnet.hub.save_pretrained`, and publish it if requested.

        As with the mixin of huggingface-hub, a training loop may save into one folder repeatedly: weights that this
        model saved there are replaced. Unlike the mixin, other weights are replaced only with ``overwrite``.

        Args:
            save_directory: the folder.
            repo_id: ``owner/repo`` to publish to; by default the folder's name.
            push_to_hub: publish it.
            overwrite: replace any weights in the folder; by default only those that this model saved there.
            recipe: how it was trained; for this and the next three see `htnet.hub.save_pretrained`.
            training: content of the card.
            people: the training subjects.
            provenance: data and terms of use.
            **push_to_hub_kwargs: arguments of `push_to_hub`.

        Returns:
            Address of the commit, or None.

        Raises:
            OverwriteError: the folder contains other weights and ``overwrite`` is not given.
            WeightsError: the model has no preprocessing spec, or it cannot be published.
        """
        _refuse_others(push_to_hub_kwargs)
        if push_to_hub_kwargs and not push_to_hub:
            raise ModelError(
                f"{', '.join(push_to_hub_kwargs)} was given without push_to_hub=True. Give both or neither."
            )
        # A copy of a model counts as another model: it did not save the weights in the folder.
        saved = (id(self), as_path(save_directory, "save_directory").resolve())
        folder = HUB["save_pretrained"](
            self,
            save_directory,
            recipe=recipe,
            training=training,
            people=people,
            provenance=provenance,
            overwrite=saved in self._saved if overwrite is None else overwrite,
        )
        self._saved.add(saved)
        if not push_to_hub:
            return None
        return str(HUB["publish"](folder, repo_id or folder.name, **push_to_hub_kwargs))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload htnet weights",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        **about: Any,
    ) -> str:
        """Publish the model on the Hub.

        Args:
            repo_id: ``owner/repo``, or a registered name; the repository is created if needed.
            commit_message: message of the commit.
            private: make a new repository private.
            token: Hub token with the right to write.
            branch: where to commit.
            create_pr: open a pull request instead of a commit.
            **about: ``recipe``, ``training``, ``people``, ``provenance``, see `save_pretrained`.

        Returns:
            Address of the commit.

        Raises:
            WeightsError: the model has no preprocessing spec, or the Hub refused or cannot be reached.
        """
        _refuse_others(about)
        with HUB["temporary_folder"]() as folder:
            self.save_pretrained(folder, **about)
            commit = HUB["publish"](
                folder,
                repo_id,
                commit_message=commit_message,
                private=private,
                token=token,
                branch=branch,
                create_pr=create_pr,
            )
        return str(commit)

    @classmethod
    def from_pretrained(
        cls: type[Self],
        pretrained_model_name_or_path: str | PathLike[str],
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | PathLike[str] | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **settings: Any,
    ) -> Self:
        """Load trained weights into a model of this class, see `htnet.load_pretrained`.

        Args:
            pretrained_model_name_or_path: a registered name, a weights folder, or a Hub repository ``owner/repo``.
            force_download: download the files even if they are in the cache.
            token: Hub token for private repositories.
            cache_dir: cache of the Hub client.
            local_files_only: use the cache only.
            revision: branch, tag or commit of the Hub repository.
            **settings: fields of the config to change, such as ``num_classes=5``; ``device`` and ``dtype`` as in
                `htnet.load_pretrained`.

        Returns:
            The model in eval mode.

        Raises:
            WeightsError: the weights cannot be loaded.
            ModelError: the weights belong to another class, or do not fit the settings.
        """
        _refuse_others(settings)
        model = HUB["load_pretrained"](
            pretrained_model_name_or_path,
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
            **settings,
        )
        if not isinstance(model, cls):
            raise ModelError(
                f"{pretrained_model_name_or_path} contains a {type(model).__name__}, not a {cls.__name__}. Load it "
                f"with htnet.load_pretrained({str(pretrained_model_name_or_path)!r})."
            )
        return model
