"""Publishing a weights folder on the Hub."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import UnknownWeightsError, WeightsError, cause, did_you_mean
from htnet.core.hints import hint, how, missing
from htnet.hub.folder import CONFIG_FILE, FILES, WEIGHTS_FILE, load_files
from htnet.hub.registry import NAMESPACE_VARIABLE, find_pretrained, list_pretrained
from htnet.hub.weights import is_repo_id, refuse_file, refused

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


@renamed_arguments
def push_to_hub(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload htnet weights",
    branch: str | None = None,
    create_pr: bool | None = None,
) -> str:
    """Upload a weights folder to the Hub; the repository is created if needed.

    Args:
        folder: written by `save_pretrained`; it is loaded first, so damaged weights are never published.
        repo_id: ``owner/repo``, or a registered name, which resolves to its repository.
        private: make a new repository private.
        token: Hub token with the right to write.
        commit_message: message of the commit.
        branch: where to commit; created if needed.
        create_pr: open a pull request instead of a commit.

    Returns:
        The commit's SHA.

    Raises:
        UnknownWeightsError: ``repo_id`` is neither a repository nor a registered name.
        WeightsError: the folder is incomplete, or the Hub refused or cannot be reached.
    """
    commit = publish(
        folder,
        repo_id,
        private=private,
        token=token,
        commit_message=commit_message,
        branch=branch,
        create_pr=create_pr,
    )
    return str(commit.oid)


def publish(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload htnet weights",
    branch: str | None = None,
    create_pr: bool | None = None,
) -> CommitInfo:
    """As `push_to_hub`, but gives the commit, whose text is its address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    refuse_file(folder)
    folder = Path(folder)
    if not folder.is_dir() and (named := find_pretrained(str(folder))) is not None:
        use = how(f"htnet predict ONSET APEX --weights {named.name}", f"load_pretrained({named.name!r})")
        raise WeightsError(
            f"{folder} names registered weights, not your own folder: {use} takes it. To publish, give a weights "
            f"folder as htnet train writes it: htnet push FOLDER {repo_id}"
        )
    if not folder.is_dir():
        raise WeightsError(f"{missing(folder)} Give a folder written by htnet train.")
    if lacking := [name for name in FILES if not (folder / name).is_file()]:
        raise WeightsError(f"{folder} lacks {', '.join(lacking)}. Give a folder written by htnet train.{hint(folder)}")
    load_files(folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    spec = find_pretrained(repo_id)
    if spec is None and not is_repo_id(repo_id):
        raise UnknownWeightsError(
            f"Cannot publish as {repo_id!r}: give owner/repo, or a registered name. "
            + did_you_mean(repo_id, [s.name for s in list_pretrained()])
        )
    repo_id = spec.repo_id if spec is not None else repo_id
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repo_id, branch=branch, exist_ok=True)
        return api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )
    except HfHubHTTPError as error:
        raise WeightsError(
            f"The Hub refused {repo_id}: {refused(error)}. Log in (hf auth login), set HF_TOKEN or give "
            f"token=, and check that you may write there; {NAMESPACE_VARIABLE} changes the owner of registered names."
        ) from error
    except Exception as error:  # the client's transport errors share no public base class
        raise WeightsError(
            f"{repo_id} was not published ({cause(error)}). Check the connection and push again."
        ) from error
