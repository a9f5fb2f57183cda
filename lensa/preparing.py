"""What a training is made of, checked on this machine: the name, the recipe, the photos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lensa.backends.base import Backend, TrainingPlan
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.concepts import ConceptsInput, read_concepts
from lensa.contract.names import check_subject
from lensa.errors import ConfigError
from lensa.planning import PhotoReader, Recipe, make_plan
from lensa.settings import Settings

if TYPE_CHECKING:
    from lensa.photos.sources import Objects, PhotoInput

_OPTIONS = frozenset(SagemakerOptions.model_fields)  # of the backend, not of the recipe


class Preparation:
    """Checks what is asked of `train`, by a client's settings and for its backend."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings, self._backend = settings, backend

    def backend_for(self, fields: dict[str, Any]) -> Backend:
        """Return the backend with its own options, which are taken out of `fields`."""
        own = {field: fields.pop(field) for field in list(fields) if field in _OPTIONS}
        return self._backend.with_options(**own)

    def plan(
        self,
        photos: PhotoInput | None,
        subject: str | None,
        class_photos: PhotoInput | None,
        recursive: bool,
        anyway: bool,
        *,
        concepts: ConceptsInput | None = None,
        captions: bool = True,
        **fields: Any,
    ) -> tuple[str, Backend, TrainingPlan]:
        """Return the subject's name, the backend with its options, and the plan, all of it checked
        as far as this machine can. Raises UserError."""
        from lensa.photos.sources import named_after

        if (photos is None) == (concepts is None) or (concepts and class_photos is not None):
            raise ConfigError(
                "training: give photos, or concepts, of which each names its own photos and class "
                "images."
            )
        given = () if concepts is None else read_concepts(concepts)
        first = given[0].photos if photos is None else photos
        name = check_subject(subject if subject is not None else named_after(first))
        backend = self.backend_for(fields)
        recipe = replace(self.recipe(**fields), name=name, concepts=given)
        config = recipe.config(backend)
        backend.check(config)
        reader = PhotoReader(
            config.resolution,
            (name,),
            self.objects,
            recursive=recursive,
            anyway=anyway,
            captions=captions,
            masks=config.masked_loss,
        )
        plan = make_plan(config, reader, first, class_photos, given)
        count = sum(len(concept.photos.photos) for concept in plan.every_concept)
        return name, backend, replace(plan, config=recipe.scaled(backend, config, count))

    def recipe(
        self,
        *,
        kind: str | None = None,
        base: str | None = None,
        method: str = "lora",
        allow_ckpt: bool = False,
        **fields: Any,
    ) -> Recipe:
        """Return what is asked for; the settings say what is not."""
        return Recipe(kind, method, base or self._settings.base, allow_ckpt, fields=fields)

    def objects(self, bucket: str) -> Objects:
        """Return a bucket of the user's own, to read photos from."""
        from lensa.backends.sagemaker.account import Account
        from lensa.backends.sagemaker.bucket import Bucket
        from lensa.backends.sagemaker.transfer import Store

        account = Account(region=self._settings.region, profile=self._settings.profile)
        return Store(Bucket(account, bucket, prefix=""))
