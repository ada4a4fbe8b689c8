"""Fetch models from the Hugging Face Hub into MODEL_DIR. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # that of whichever HTTP library it uses
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from app.diffusion.weights import INDEX, choose_files, read_index
from app.wording import first_line

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 3.0
"""How long the Hub may take to answer before it counts as out of reach."""

_Result = TypeVar("_Result")


class FetchFailed(Exception):
    """A repository cannot be fetched; the message, a clause without a full stop, says why."""


@dataclass(frozen=True, slots=True)
class ModelHub:
    """The Hugging Face Hub, as seen with one token.

    Attributes:
        model_dir: where fetched files go, in the layout of Hugging Face's cache.
        token: for gated and private repositories.
        endpoint: address of the Hub, None for the library's own default.
    """

    model_dir: Path
    token: str | None = None
    endpoint: str | None = None

    def fetch_pipeline(self, repo: str, prefer_fp16: bool) -> Path:
        """Fetch what a pipeline is loaded from: one variant of the weights, no pickles.

        Returns:
            The folder with `model_index.json`.

        Raises:
            FetchFailed: nothing usable could be fetched.
        """
        names = self._files(repo)
        if INDEX not in names:
            raise FetchFailed(f"the repository has no {INDEX}: it is no diffusers pipeline")
        folder = self.fetch_file(repo, INDEX).parent
        self._snapshot(repo, choose_files(names, read_index(folder), prefer_fp16))
        return folder

    def fetch_model(self, repo: str) -> Path:
        """Fetch a repository that holds a single model: its configuration and its weights.

        Raises:
            FetchFailed: nothing usable could be fetched.
        """
        names = [name for name in self._files(repo) if "/" not in name]
        has_plain = "diffusion_pytorch_model.safetensors" in names
        weights = "diffusion_pytorch_model.safetensors" if has_plain else "*.safetensors"
        return self._snapshot(repo, ["*.json", weights])

    def fetch_file(self, repo: str, filename: str) -> Path:
        """Fetch one file.

        Raises:
            FetchFailed: it could not be fetched.
        """
        self._files(repo)
        return Path(
            self._explained(
                lambda: hf_hub_download(
                    repo,
                    filename,
                    cache_dir=self.model_dir,
                    token=self.token,
                    endpoint=self.endpoint,
                ),
                repo,
            )
        )

    def _files(self, repo: str) -> list[str]:
        """Names of the repository's files; the one request that may find the Hub out of reach."""
        api = HfApi(endpoint=self.endpoint, token=self.token)
        info = self._explained(lambda: api.model_info(repo, timeout=_ANSWER_SECONDS), repo)
        return [file.rfilename for file in info.siblings or ()]

    def _snapshot(self, repo: str, patterns: list[str]) -> Path:
        _log.info("Fetching %s into %s", repo, self.model_dir)
        return Path(
            self._explained(
                lambda: str(
                    snapshot_download(
                        repo,
                        cache_dir=self.model_dir,
                        allow_patterns=patterns,
                        token=self.token,
                        endpoint=self.endpoint,
                    )
                ),
                repo,
            )
        )

    def _explained(self, call: Callable[[], _Result], repo: str) -> _Result:
        """Run a request, turning each way it fails into one clause."""
        try:
            return call()
        except GatedRepoError as error:
            remedy = "set HF_TOKEN" if self.token is None else "check HF_TOKEN"
            raise FetchFailed(
                f"{repo} is gated: accept its licence at https://huggingface.co/{repo} and {remedy}"
            ) from error
        except RepositoryNotFoundError as error:
            raise FetchFailed(f"the Hub knows no {repo}, or only with another HF_TOKEN") from error
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise FetchFailed("the Hub cannot be reached") from error
            raise FetchFailed(f"{repo} lacks a file: {first_line(error)}") from error
        except OfflineModeIsEnabled as error:
            raise FetchFailed("HF_HUB_OFFLINE is set") from error
        except HfHubHTTPError as error:
            raise FetchFailed(f"the Hub answered: {first_line(error)}") from error
        except HTTPError as error:
            raise FetchFailed("the Hub cannot be reached") from error
        except OSError as error:
            raise FetchFailed(f"{type(error).__name__}: {first_line(error)}") from error
