"""Publishing weights folders on the Hub."""

from __future__ import annotations

import io
from os import PathLike
from typing import TYPE_CHECKING

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import InputError, WeightsError, cause
from htnet.core.fields import flag, optional
from htnet.core.hints import how
from htnet.core.lazy import loading
from htnet.hub.plan import PushPlan, plan_all, plan_push
from htnet.hub.registry import NAMESPACE_VARIABLE
from htnet.hub.weights import refused

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

MESSAGE = "Upload htnet weights"


@renamed_arguments
def push_to_hub(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = MESSAGE,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> str:
    """Upload a weights folder to the Hub; the repository is created if needed.

    `plan_push` shows in advance what would be uploaded.

    Args:
        folder: weights folder written by `save_pretrained`; it is loaded first, so damaged weights are never published.
        repo_id: ``owner/repo``, or a registered name, which resolves to its repository.
        private: True for a private repository, False for a public one; an existing repository must be so already. None
            for what its owner has set for new repositories.
        token: Hub token with the right to write.
        commit_message: message of the commit.
        branch: where to commit; created if needed.
        create_pr: open a pull request instead of a commit.

    Returns:
        The commit's SHA.

    Raises:
        UnknownWeightsError: ``repo_id`` is neither a repository nor a registered name.
        WeightsError: the folder is incomplete, the repository exists and is not ``private`` as asked, or the Hub
            refused the upload or cannot be reached.
        InputError: a value has another type, or the message or the branch is empty.
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


def push_all(
    trained: str | PathLike[str] = "weights",
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = MESSAGE,
) -> dict[str, str]:
    """Upload all registered weights that are on this machine, each to its own repository of one owner.

    The environment variable HTNET_HUB_NAMESPACE names the owner. All weights are loaded before the first are sent.
    `plan_all` shows in advance what would be uploaded, and which weights are not on this machine.

    Args:
        trained: folder of trained weights, in which the folder of each has its name.
        private: see `push_to_hub`.
        token: Hub token with the right to write.
        commit_message: message of the commits.

    Returns:
        Registered name to the commit's SHA.

    Raises:
        WeightsError: some weights are damaged, or the Hub refused an upload or cannot be reached.
    """
    plans = {name: plan for name, plan in plan_all(trained).items() if plan is not None}
    return {
        name: str(carry_out(plan, private=private, token=token, commit_message=commit_message).oid)
        for name, plan in plans.items()
    }


def publish(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = MESSAGE,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> CommitInfo:
    """Like `push_to_hub`, but returns the commit, whose ``str`` is its URL."""
    return carry_out(
        plan_push(folder, repo_id),
        private=private,
        token=token,
        commit_message=commit_message,
        branch=branch,
        create_pr=create_pr,
    )


def carry_out(
    plan: PushPlan,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = MESSAGE,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> CommitInfo:
    """Upload the files of a plan in one commit; for arguments and errors see `push_to_hub`."""
    for name, value in (("private", private), ("create_pr", create_pr)):
        optional(flag()).check(name, value)
    for name, text in (("commit_message", commit_message), ("branch", branch)):
        if not (isinstance(text, str) and text.strip()) and (name, text) != ("branch", None):
            raise InputError(f"{name} is {text!r}; give a text that is not empty, or leave it out.")
    with loading():
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError

    api, repo_id = HfApi(token=token), plan.repo_id
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if private is not None and bool(api.model_info(repo_id).private) != private:
            kinds = ("public", "private") if private else ("private", "public")
            raise WeightsError(
                f"{repo_id} exists and is {kinds[0]}, so it was not published as {kinds[1]}; nothing was uploaded. "
                f"Change the visibility of the repository on the Hub, leave {how('--private', 'private')} out, or "
                "choose another repository."
            )
        if branch is not None:
            api.create_branch(repo_id, branch=branch, exist_ok=True)
        return api.create_commit(
            repo_id=repo_id,
            operations=[
                CommitOperationAdd(
                    file.name, io.BytesIO(file.source) if isinstance(file.source, bytes) else str(file.source)
                )
                for file in plan.files
            ],
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )
    except WeightsError:
        raise
    except HfHubHTTPError as error:
        raise WeightsError(
            f"The Hub refused {repo_id}: {refused(error)}. Log in (hf auth login), set HF_TOKEN or give "
            f"token=, and check that you may write there; {NAMESPACE_VARIABLE} changes the owner of registered names."
        ) from error
    except Exception as error:  # the client's transport errors share no public base class
        raise WeightsError(
            f"{repo_id} was not published ({cause(error)}). Check the connection and push again."
        ) from error
