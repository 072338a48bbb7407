"""Fetching a published model: one commit of it, and only files that cannot carry code.

Many models were published as a pickle alone (``ProsusAI/finbert`` among them). For most of these
the hub's own converter, the account ``SFconvertbot``, has proposed the same weights as
safetensors, in a branch of its own. That branch is taken where the main one has none. By the
author, not by the title: anybody may open a proposal of any name.

What is fetched stays in the hub's ordinary cache, so that another try does not fetch it again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from swingtrader.errors import DataError, HubUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

CONVERTER = "SFconvertbot"
FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "vocab.txt", "vocab.json", "merges.txt",
    "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors",
)  # fmt: skip
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Snapshot:
    """Files of a model as they were published.

    Attributes
    ----------
    directory : Path
    commit : str
        Full hexadecimal name.
    """

    directory: Path
    commit: str


def download(name: str, *, endpoint: str | None = None, cache: Path | None = None) -> Snapshot:
    """Fetch a model by its name on the hub.

    Parameters
    ----------
    name : str
        As in ``owner/model``.
    endpoint : str, optional
        Address of the hub; by default the library's, which heeds HF_ENDPOINT.
    cache : Path, optional
        By default the library's, which heeds HF_HOME.

    Raises
    ------
    DataError
        The hub has no such model, keeps it from us, or has its weights as pickles only.
    HubUnreachable
        No answer, or none of use; a later try may succeed.
    """
    for setting in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(setting, "1")  # looked at once, by the import below
    from httpx2 import HTTPError  # noqa: PLC0415 - the hub library's client
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415 - a second of imports
    from huggingface_hub.errors import (  # noqa: PLC0415 - with it
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        commit, files = _safe_commit(HfApi(endpoint=endpoint), name)
        directory = snapshot_download(
            name, revision=commit, allow_patterns=files, endpoint=endpoint, cache_dir=cache
        )
    except HFValidationError as error:
        raise DataError(f"{name}: is not a name of the hub, such as ProsusAI/finbert") from error
    except RepositoryNotFoundError as error:
        raise DataError(f"{name}: the hub has no such model, or keeps it private") from error
    except (HTTPError, OSError) as error:
        raise HubUnreachable(name, type(error).__name__) from error
    return Snapshot(Path(directory), commit)


def _safe_commit(api: HfApi, name: str) -> tuple[str, list[str]]:
    """Commit that has safe weights, and the files of it that are wanted."""
    for revision in _revisions(api, name):
        model = api.model_info(name, revision=revision)
        files = [sibling.rfilename for sibling in model.siblings or ()]
        if model.sha is not None and any(file in _WEIGHTS for file in files):
            return model.sha, [f for f in files if any(fnmatch(f, kind) for kind in FILES)]
    raise DataError(
        f"{name}: is published only as a pickle, which is never opened; have it converted to "
        "model.safetensors by somebody who trusts it, and use --from"
    )


def _revisions(api: HfApi, name: str) -> Iterator[str]:
    yield "main"
    for proposal in api.get_repo_discussions(
        name, author=CONVERTER, discussion_type="pull_request", discussion_status="open"
    ):
        # The hub filters as asked; whose weights we take is not left to that.
        if proposal.author == CONVERTER and proposal.git_reference is not None:
            yield proposal.git_reference
