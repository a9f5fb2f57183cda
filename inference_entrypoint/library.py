"""Many avatars on one base, in one process: those that were asked for last stay in memory.

They lie in folders of this machine, or on a shelf (shelf.py), from which each is fetched when it is
first asked for. The base stays as it is, whoever is drawn.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch

from inference_entrypoint.adapters import drop_lora, load_lora
from inference_entrypoint.artifact import LORA_FILE, listed, read_manifest, verify_files
from inference_entrypoint.avatars import (
    Avatar,
    Base,
    freeze,
    pinned_base,
)
from inference_entrypoint.bases import base_revision, load_base
from inference_entrypoint.batching import draw_alone
from inference_entrypoint.devices import best_device
from inference_entrypoint.drawing import OnStep
from inference_entrypoint.families import Device
from inference_entrypoint.order import Order, Result
from inference_entrypoint.shelf import Shelf
from inference_entrypoint.statuses import Busy
from inference_entrypoint.vaes import pinned_vae, replace_vae
from lensa.contract import AvatarManifest, BaseModelRef, GenerationRequest, VaeRef
from lensa.contract.names import JOB
from lensa.errors import ArtifactError, ConfigError, LensaError, NotFoundError, suggest


class Replaced(Busy):
    """Another version of an avatar took its place while a request of it waited."""


@dataclass(frozen=True)
class _Entry:
    folder: Path
    manifest: AvatarManifest


class Library:
    """Avatars of one base, the least recently used dropped from memory.

    All of them are LoRAs in one pipeline. One thread at a time may use it.
    """

    def __init__(
        self,
        base: BaseModelRef | None = None,
        *,
        override: Path | None = None,
        shelf: Shelf | None = None,
        resident: int = 8,
        device: Device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """`base`: None takes the first avatar's. `override` is a folder that holds the base
        already. `shelf`: where those are that are not added. `resident`: how many avatars stay in
        memory.

        Raises ConfigError if that is less than one. Nothing is loaded yet.
        """
        if resident < 1:
            raise ConfigError(f"resident = {resident}: keep at least 1 avatar in memory.")
        self.resident = resident
        own_device, own_dtype = best_device()
        self._device, self._dtype = device or own_device, dtype or own_dtype
        self._ref, self._override, self._shelf = base, override, shelf
        self._revision: str | None = None
        self._vae: VaeRef | None = None
        self._base: Base | None = None
        self._entries: dict[str, _Entry] = {}
        self._fetched: set[str] = set()  # those of the shelf
        self._loaded: OrderedDict[str, None] = OrderedDict()  # the least recently used one first

    def add(self, folder: Path) -> str:
        """Take an avatar in by its manifest, and return its id. Its weights are not yet read.

        An avatar that is here already is replaced. Raises ArtifactError if it is no LoRA or was
        trained on another base, BaseModelError if the base cannot be found.
        """
        manifest = read_manifest(folder)
        name = manifest.avatar
        if not JOB.fullmatch(name):
            raise ArtifactError(f"{folder}: its avatar is called {name[:80]!r}, which is no id.")
        self._check(manifest)
        listed(folder, manifest, LORA_FILE)
        self._forget(name)
        self._entries[name] = _Entry(folder, manifest)
        return name

    def remove(self, name: str) -> None:
        """Leave an avatar out from now on. Raises NotFoundError if it is not here."""
        self._entry(name)
        self._drop(name)

    def look_round(self) -> None:
        """Leave out some of those that were removed from the shelf, though nobody asks for them.

        To be called between two batches, now and then.
        """
        if self._shelf is not None:
            self._shelf.look_round()
            self._drop_gone(self._shelf)

    def names(self) -> list[str]:
        """Return the ids of the avatars, in the order in which they came."""
        return list(self._entries)

    def loaded(self) -> list[str]:
        """Return the ids of those that are in memory, the least recently used one first."""
        return list(self._loaded)

    @property
    def name(self) -> str:
        """The avatar that a request without one gets. Raises NotFoundError if there is none."""
        if not self._entries:
            raise NotFoundError("This library holds no avatar yet.")
        return next(iter(self._entries))

    def get(self, name: str) -> Avatar:
        """Return an avatar, good for as long as it is in memory; loads its LoRA if need be.

        Raises NotFoundError, ArtifactError if its weights were altered or do not fit the base,
        BaseModelError if the base cannot be had.
        """
        entry = self._bring(name)
        if name not in self._loaded:
            try:
                verify_files(entry.folder, entry.manifest, [LORA_FILE])
            except ArtifactError:
                if name in self._fetched:  # its copy was damaged here: fetched again next time
                    self._drop(name)
                raise
            pipeline = self.base.pipeline
            while len(self._loaded) >= self.resident:
                self._forget(next(iter(self._loaded)))
            load_lora(pipeline, entry.folder / LORA_FILE, entry.manifest.config, name)
        self._loaded[name] = None
        self._loaded.move_to_end(name)
        return Avatar(entry.manifest, self.base, adapter=name)

    def generate(self, request: GenerationRequest, *, on_step: OnStep | None = None) -> Result:
        """Return the images of a request. Raises as `order` does and as drawing them does."""
        return draw_alone(self.order(request), on_step=on_step)

    def order(self, request: GenerationRequest) -> Order:
        """Return a request read and encoded: for `request.avatar`, or else the first one, with
        those of `request.blend` mixed in. Raises as `get` and `Avatar.order` do."""
        self.look_round()
        name = request.avatar or self.name
        if name in request.blend:
            raise ConfigError(f"generation: blend mixes {name} into itself: name other avatars.")
        names = [*request.blend, name]
        if len(names) > self.resident:
            raise ConfigError(
                f"generation: blend asks for {len(names)} avatars at once, and {self.resident} "
                "stay in memory here: mix in fewer."
            )
        # Whoever is unknown is told before anything is loaded.
        meant = {each: self._bring(each).folder for each in names}

        def get() -> Avatar:
            for each, folder in meant.items():
                if self._bring(each).folder != folder:
                    raise Replaced(f"avatar {each} was replaced meanwhile: ask again.")
            return [self.get(each) for each in names][-1]

        return get().order(request.model_copy(update={"avatar": name}), make_ready=get)

    @property
    def base(self) -> Base:
        """The base model, loaded when it is first asked for. Raises BaseModelError."""
        if self._base is None:
            ref = self._ref
            if ref is None:
                raise NotFoundError("This library holds no avatar yet, and so no base model.")
            pipeline = load_base(
                ref, device=self._device, dtype=self._dtype, override=self._override
            )
            if self._vae is not None:
                replace_vae(pipeline, self._vae)
            freeze(pipeline)
            self._base = Base(ref, pipeline, self._override)
        return self._base

    def _entry(self, name: str) -> _Entry:
        # A name is only ever looked up here, and never becomes a path.
        if name in self._entries:
            return self._entries[name]
        near = suggest(name[:80], self._entries)
        if len(self._entries) > 10 and near.startswith(" Known"):
            near = f" It has {len(self._entries)} others."
        raise NotFoundError(f"No avatar {name[:80]!r} is here.{near}")

    def _bring(self, name: str) -> _Entry:
        """Return an avatar that is here, as its folder or the shelf has it now.

        Raises NotFoundError, ConfigError if it cannot be drawn with those that are here, and as
        `Shelf.fetch` does.
        """
        if self._shelf is None or (name in self._entries and name not in self._fetched):
            return self._entry(name)
        try:
            folder = self._shelf.fetch(name, self._check_fetched)
        except LensaError:
            if name in self._fetched and name not in self._shelf.names():
                self._drop(name)
            raise
        if name not in self._entries or self._entries[name].folder != folder:
            self.add(folder)
            self._fetched.add(name)
        self._drop_gone(self._shelf)
        return self._entries[name]

    def _drop_gone(self, shelf: Shelf) -> None:
        """Leave out those of which the shelf has no copy any more."""
        for gone in self._fetched.difference(shelf.names()):
            self._drop(gone)

    def _drop(self, name: str) -> None:
        self._forget(name)
        del self._entries[name]
        if name in self._fetched and self._shelf is not None:
            self._fetched.remove(name)
            self._shelf.drop(name)

    def _forget(self, name: str) -> None:
        if name in self._loaded:
            del self._loaded[name]
            drop_lora(self.base.pipeline, name)

    def _check_fetched(self, manifest: AvatarManifest) -> None:
        """Raise ConfigError for what whoever asks can change: by asking another endpoint."""
        try:
            self._check(manifest)
        except ArtifactError as error:
            raise ConfigError(f"generation: avatar: {error}") from None

    def _check(self, manifest: AvatarManifest) -> None:
        """Raise ArtifactError if an avatar is no LoRA, or was trained on another base."""
        if manifest.config.method != "lora":
            raise ArtifactError(
                f"Avatar {manifest.avatar} has weights of its own instead of a LoRA: "
                "it gets an endpoint of its own."
            )
        self._check_base(manifest)

    def _check_base(self, manifest: AvatarManifest) -> None:
        """Raise ArtifactError if the avatar was trained on another base than ours."""
        theirs, ours = pinned_base(manifest), self._ref
        open_to_any = ours is not None and ours.source == "hub" and ours.revision is None
        if ours is None or (open_to_any and ours.location == theirs.location):
            ours = theirs if ours is None else ours.model_copy(update={"revision": theirs.revision})
        revision = self._revision or base_revision(ours, self._override)
        if revision != manifest.base_revision:
            raise ArtifactError(
                f"Avatar {manifest.avatar} was trained on {theirs.name} at revision "
                f"{manifest.base_revision}, and this is {ours.name} at revision {revision}: it "
                "would draw someone else. Serve it with the base it was trained on."
            )
        vae = pinned_vae(manifest)
        if vae != self._vae and (self._entries or self._base is not None):
            raise ArtifactError(
                f"Avatar {manifest.avatar} was trained with {vae or 'the own VAE of its base'}, "
                f"and those here with {self._vae or 'the own VAE of theirs'}: give it an endpoint "
                "of its own."
            )
        self._vae = vae
        self._ref, self._revision = ours, revision
