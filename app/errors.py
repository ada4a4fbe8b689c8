"""The exceptions that a client can meet, each with its HTTP status and its message.

    RunnerError                    500
    ├── BadRequest                 400  what the client can put right
    │   ├── BodyOverdue
    │   ├── CrossSite
    │   ├── FieldInvalid
    │   ├── ImageInvalid
    │   ├── JobNotRetryable
    │   ├── LimitExceeded
    │   │   └── RequestTooLarge
    │   ├── LoraInvalid
    │   ├── ModelMismatch
    │   ├── PromptMissing
    │   ├── SafetyCheckerMissing
    │   ├── SizeInvalid
    │   └── UrlRefused
    ├── InvalidToken               401
    ├── JobNotFound                404
    ├── MediaNotFound              404
    ├── ModelNotFound              404
    ├── PipelineNotLoaded          404
    ├── Overloaded                 OVERLOAD_STATUS, with Retry-After
    │   └── ShuttingDown
    ├── JobFailed                  500  the worker could not finish the job
    │   ├── OutOfMemory
    │   ├── WorkerDied
    │   └── ModelNotLoaded
    ├── DeadlineExceeded           500
    ├── DataFolderUnusable         500
    └── JobCancelled               500  nobody is left to read it

Doors translate a RunnerError once, in `app.error_table`; logs keep the cause.
"""

from __future__ import annotations


class RunnerError(Exception):
    """Base of every error whose message is meant for the client."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by message and attributes, whatever the arguments of the subclass."""
        return _rebuild, (type(self), self.message), self.__dict__


def _rebuild(kind: type[RunnerError], message: str) -> RunnerError:
    error = kind.__new__(kind, message)
    RunnerError.__init__(error, message)
    return error


class BadRequest(RunnerError):
    """The request is understood and cannot be served as it is."""

    status = 400


class BodyOverdue(BadRequest):
    """The rest of the request's body does not come."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Nothing came of the request's body for {seconds:g} s.")


class CrossSite(BadRequest):
    """A page of another site has a browser send something."""

    def __init__(self) -> None:
        super().__init__("A web page of another site cannot send this: send JSON, or the token.")


class FieldInvalid(BadRequest):
    """One field of the request is to blame.

    Attributes:
        field: its name, as the client wrote it.
    """

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class ImageInvalid(BadRequest):
    """An uploaded image cannot be used."""


class LimitExceeded(BadRequest):
    """A number is beyond what this server was set to allow."""


class RequestTooLarge(LimitExceeded):
    """The request's body is larger than allowed; doors may say 413 in place of 400."""


class JobNotRetryable(BadRequest):
    """Only a job that failed or ran out of time can be started again."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"Job {job_id} is {state}: only FAILED and TIMED_OUT jobs can be retried.")


class LoraInvalid(BadRequest):
    """The `loras` field is malformed or names weights that are not here."""


class ModelMismatch(BadRequest):
    """The request names another model than the one that is loaded."""

    def __init__(self, loaded: str, requested: str) -> None:
        super().__init__(f"pipeline configured with {loaded} but called with {requested}.")


class PromptMissing(BadRequest):
    """Nothing is left of the prompt once its blanks are dropped."""

    def __init__(self) -> None:
        super().__init__("Prompt must be provided.")


class SafetyCheckerMissing(BadRequest):
    """A safety check was asked for, is required, and its weights are not on this server."""

    def __init__(self) -> None:
        super().__init__(
            "safety_check=true cannot be honoured: the safety checker's weights are not on this "
            "server (run dl_checkpoints.sh, or set SAFETY_CHECKER=auto or off)."
        )


class SizeInvalid(BadRequest):
    """The size is not one that the loaded model can make."""


class UrlRefused(BadRequest):
    """A URL that the client named leads where this server does not go."""


class InvalidToken(RunnerError):
    """The bearer token is missing or wrong."""

    status = 401

    def __init__(self) -> None:
        super().__init__("Invalid bearer token.")


class JobNotFound(RunnerError):
    """No job has this id, or it was removed after its retention."""

    status = 404

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id}: it never existed or has expired.")


class MediaNotFound(RunnerError):
    """No file has this id, or it was removed after its retention."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no file {name}: it never existed or has expired.")


class ModelNotFound(RunnerError):
    """The request is for a model that this server does not have."""

    status = 404

    def __init__(self, loaded: str, requested: str) -> None:
        super().__init__(f"The model {requested} is not here: this server runs {loaded}.")


class PipelineNotLoaded(RunnerError):
    """The route belongs to another pipeline than the one that is loaded."""

    status = 404

    def __init__(self, path: str, loaded: str, model_id: str) -> None:
        super().__init__(f"{path} is not served here: this server runs {loaded} with {model_id}.")


class Overloaded(RunnerError):
    """The queue is full.

    Attributes:
        retry_after: whole seconds after which a place is likely, from measured job times.
    """

    status = 503

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(f"insufficient capacity: {message}")
        self.retry_after = retry_after


class ShuttingDown(Overloaded):
    """The server was told to stop and takes no new jobs."""

    def __init__(self) -> None:
        super().__init__("this server is shutting down; send the request elsewhere.", 1)


class JobFailed(RunnerError):
    """The worker could not finish the job."""


class OutOfMemory(JobFailed):
    """The accelerator's memory does not hold this request."""

    def __init__(self) -> None:
        super().__init__("Out of memory error. Try reducing output image resolution.")


class WorkerDied(JobFailed):
    """The worker process ended under the job, as often as it may be tried."""

    def __init__(self, attempts: int, reason: str) -> None:
        super().__init__(
            f"The worker process ended during this job ({reason}); it was started "
            f"{attempts} times. The server recovers by itself: the request may be sent again."
        )


class ModelNotLoaded(JobFailed):
    """The model cannot be loaded; the message says why."""


class DeadlineExceeded(RunnerError):
    """The job's time, queueing included, is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request was not finished within {seconds:g} s (REQUEST_TIMEOUT, queueing "
            "included) and was stopped."
        )


class DataFolderUnusable(RunnerError):
    """DATA_DIR cannot hold asynchronous jobs; the other doors go on."""


class JobCancelled(RunnerError):
    """The job was cancelled."""

    def __init__(self) -> None:
        super().__init__("The job was cancelled.")
