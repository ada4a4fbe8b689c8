"""Stand-ins for a pipeline's networks that leave each call to the hub."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.accelerators.denoiser import denoisers_of
from app.worker.calls import Call, SharedValues, describe
from app.worker.roles import DECODERS, DENOISERS, Roles

logger = logging.getLogger(__name__)

Park = Callable[[Call], Any]
"""Waits until the hub has made the call, and returns its result."""


class Networks:
    """What is known of a pipeline's networks, for all requests.

    Attributes:
        denoisers: by attribute of the pipeline.
        vae: its VAE, None without one.
    """

    def __init__(self, pipe: Any) -> None:
        self.denoisers = {
            name: Network(module, module, DENOISERS) for name, module in denoisers_of(pipe).items()
        }
        vae = getattr(pipe, "vae", None)
        self.vae = None if vae is None else VaeVersions(vae)
        for network in self.denoisers.values():
            if network.roles is None:
                logger.warning(
                    "%s: requests take turns, as it is not known how to merge them",
                    network.class_name,
                )


class Network:
    """A network, or a method of it, with the names and roles of its arguments."""

    def __init__(
        self, module: Any, function: Callable[..., Any], table: Any, method: str = "forward"
    ) -> None:
        own = type(getattr(module, "_orig_mod", module))  # torch.compile wraps the module
        self.class_name = own.__name__
        self.module = module
        self.function = function
        self.roles: Roles | None = table.get(self.class_name)
        parameters = inspect.signature(getattr(own, method)).parameters
        self.parameters = tuple(parameters)[1:]
        self._optional = {name for name, it in parameters.items() if it.default is None}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], shared: SharedValues) -> Call:
        """The call of these arguments, but for those that say what the default says.

        Traces and CUDA graphs know a call by the names of its arguments, and pipelines differ in
        what they name for nothing.
        """
        given = dict(zip(self.parameters, args, strict=False)) | kwargs
        arguments = {
            name: it for name, it in given.items() if it is not None or name not in self._optional
        }
        return describe(self.function, arguments, self.roles, shared)


class VaeVersions:
    """A VAE in each type that a pipeline asks for.

    Some pipelines turn their VAE into single precision and back for one call. That would happen
    to the VAE of all requests at once, so those get a second VAE to work with; it is made once.
    """

    def __init__(self, vae: Any) -> None:
        self.original = Network(vae, vae.decode, DECODERS, "decode")
        self._versions: dict[torch.dtype, Network] = {vae.dtype: self.original}

    def of_dtype(self, dtype: torch.dtype) -> Network:
        """The VAE in this type."""
        if dtype not in self._versions:
            vae = _of_dtype(self.original.module, dtype)
            self._versions[dtype] = Network(vae, vae.decode, DECODERS, "decode")
        return self._versions[dtype]


def _of_dtype(vae: Any, dtype: torch.dtype) -> Any:
    """Another VAE with the same weights, in this type.

    A copy would not do: SFAST ties a module to its layers in a way that copies share, so that
    the copy would run the layers of the original.
    """
    if vae.device.type == "meta":  # OFFLOAD=sequential: hooks hold the weights, and can be copied
        return copy.deepcopy(vae).to(dtype)
    with torch.device("meta"):
        other = type(vae).from_config(vae.config)
    other.load_state_dict(vae.state_dict(), strict=True, assign=True)
    for option in ("use_slicing", "use_tiling"):
        setattr(other, option, getattr(vae, option, False))
    return other.to(dtype).eval()


class StandIn:
    """What a pipeline sees of a network whose calls are left to the hub."""

    _network: Network

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        """That of the network: some pipelines choose by it, with isinstance."""
        return type(self._network.module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network.module, name)


class ParkedDenoiser(StandIn):
    """A denoiser in one request's copy of the pipeline."""

    def __init__(self, network: Network, shared: SharedValues, park: Park) -> None:
        self._network = network
        self._shared = shared
        self._park = park

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have the denoiser called with these arguments."""
        return self._park(self._network.call(args, kwargs, self._shared))


class ParkedVae(StandIn):
    """A VAE in one request's copy of the pipeline: decoding waits its turn."""

    def __init__(self, versions: VaeVersions, shared: SharedValues, park: Park) -> None:
        self._versions = versions
        self._network = versions.original
        self._shared = shared
        self._park = park

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """Decode latents, as the VAE does."""
        return self._park(self._network.call(args, kwargs, self._shared))

    def to(self, *args: Any, **kwargs: Any) -> ParkedVae:
        """Change to the VAE of another type; the device stays."""
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.dtype):
                self._network = self._versions.of_dtype(value)
        return self
