"""Publishing a weights folder on the Hub."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from htnet.errors import WeightsError
from htnet.hub.folder import CONFIG_FILE, FILES, WEIGHTS_FILE, load_files
from htnet.hub.registry import find_pretrained


def push_to_hub(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    token: str | bool | None = None,
    message: str = "Upload htnet weights",
) -> str:
    """Upload a weights folder to the Hub; the repository is made if needed.

    Args:
        folder: written by `save_pretrained`; it is loaded first, so that nothing broken is published.
        repo_id: ``owner/repo``, or a registered name, which resolves to its repository.
        private: make a new repository private.
        token: Hub token with the right to write.
        message: commit message.

    Returns:
        The commit's SHA.

    Raises:
        WeightsError: the folder is not complete, or the Hub refused.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    folder = Path(folder)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise WeightsError(f"{folder} lacks {', '.join(missing)}. Give a folder written by htnet train.")
    load_files(folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    spec = find_pretrained(repo_id)
    repo_id = spec.repo_id if spec is not None else repo_id
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, allow_patterns=list(FILES), commit_message=message
        )
    except HfHubHTTPError as error:
        raise WeightsError(
            f"The Hub refused {repo_id}: {error}. Log in (hf auth login) or give token=, and check that you may "
            "write there."
        ) from error
    return str(commit.oid)
