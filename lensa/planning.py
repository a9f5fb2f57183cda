"""From what a call says to a checked plan: the recipe, the photos, and how they fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lensa.backends.base import Backend, ConceptPhotos, TrainingPlan
from lensa.bases import resolve_base, resolve_vae
from lensa.concepts import GivenConcept, name_concepts
from lensa.contract import KINDS, BaseModelRef, Concept, TrainingConfig, preset
from lensa.errors import ConfigError, LensaError, suggest
from lensa.tokens import CIPHER, cipher

if TYPE_CHECKING:
    from lensa.photos.photoset import PhotoSet
    from lensa.photos.sources import Objects, PhotoInput

_METHODS = ("lora", "full")

Of = TypeVar("Of")


@dataclass(frozen=True)
class Recipe:
    """What a call says of the training, before the photos are counted."""

    kind: str | None = None  # None: person, or what the nouns of the concepts say
    method: str = "lora"
    base: str = ""
    allow_ckpt: bool = False
    name: str = ""  # of the subject: a token may be made of it
    concepts: tuple[GivenConcept, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)  # of TrainingConfig

    def config(self, backend: Backend) -> TrainingConfig:
        """Return the configuration, with a placeholder for its subject. Raises UserError."""
        if self.kind is not None:
            one_of("kind", self.kind, KINDS)
        one_of("method", self.method, _METHODS)
        unknown = [name for name in self.fields if name not in TrainingConfig.model_fields]
        if unknown:  # said first: a misspelt word is the likeliest mistake
            raise ConfigError(
                f"training: unknown field {unknown[0]!r}."
                f"{suggest(unknown[0], [*TrainingConfig.model_fields, *backend.option_names])}"
            )
        base = resolve_base(self.base, allow_ckpt=self.allow_ckpt)
        fields = dict(self.fields)
        if isinstance(fields.get("vae"), str):
            fields["vae"] = resolve_vae(fields["vae"])
        if fields.get("token") == CIPHER:
            fields["token"] = cipher(self.name)[0]
        return self._built(backend, base, fields)

    def scaled(self, backend: Backend, config: TrainingConfig, photos: int) -> TrainingConfig:
        """Return the configuration with the steps that suit so many photos."""
        if "steps" in self.fields:
            return config
        fields = self.fields | {"vae": config.vae, "token": config.token}
        return self._built(backend, config.base, fields, photos)

    def _built(
        self,
        backend: Backend,
        base: BaseModelRef,
        fields: dict[str, Any],
        photos: int | None = None,
    ) -> TrainingConfig:
        concepts = name_concepts(self.concepts, base, self.kind)
        people = any(concept.kind == "person" for concept in concepts)
        kind: Any = self.kind or ("person" if people or not concepts else concepts[0].kind)
        steps, method = fields.get("steps"), self.method
        recipe = preset(
            kind,
            method,  # type: ignore[arg-type]  # it is one of them: see above
            base,
            steps=steps if isinstance(steps, int) else None,
            photos=photos,
            concepts=max(1, len(concepts)),
        )
        recipe |= _of_concepts(concepts) | backend.recipe()
        return TrainingConfig(**{"subject_id": "00000000", **recipe, **fields})


def _of_concepts(concepts: Sequence[Concept]) -> dict[str, Any]:
    """Return the fields that say what is learned: the first is the subject."""
    if not concepts:
        return {}
    first = concepts[0].model_dump(exclude={"name"})
    numbered = ["{subject}", *(f"{{subject{n}}}" for n in range(2, len(concepts) + 1))]
    prompts = [
        f"a picture in the style of {words}" if concept.kind == "style" else f"a photo of {words}"
        for words, concept in zip(numbered, concepts, strict=True)
    ]
    return {**first, "concepts": tuple(concepts[1:]), "validation_prompts": tuple(prompts)}


@dataclass(frozen=True)
class PhotoReader:
    """How photos are read and judged: the same for every concept."""

    size: int
    names: tuple[str, ...]  # of the subject
    buckets: Callable[[str], Objects]
    recursive: bool = False
    anyway: bool = False
    captions: bool = True
    masks: bool = False

    def photos(self, given: PhotoInput, kind: str) -> PhotoSet:
        """Return the photos of one concept, with what the coach says among their notes."""
        from lensa.photos.captions import with_captions
        from lensa.photos.examine import examine
        from lensa.photos.showing.progress import looking

        with looking() as on_progress:
            examined = examine(
                given,
                self.size,
                kind=kind,
                recursive=self.recursive,
                masks=self.masks,
                buckets=self.buckets,
                on_progress=on_progress,
            )
        photos = examined.for_training(anyway=self.anyway)
        if not self.captions:
            return photos
        return with_captions(photos, examined.sources, None if kind == "style" else self.names)

    def class_photos(self, given: PhotoInput) -> PhotoSet:
        """Return images of a class, of which nothing is said."""
        from lensa.photos.prepare import load_photos

        return load_photos(given, self.size, least=1, most=2000, buckets=self.buckets)


def make_plan(
    config: TrainingConfig,
    reader: PhotoReader,
    photos: PhotoInput,
    class_photos: PhotoInput | None,
    given: Sequence[GivenConcept] = (),
) -> TrainingPlan:
    """Read every photo. Raises UserError, for one of several concepts naming its entry."""
    if class_photos is not None and not config.prior_preservation:
        reader.photos(photos, config.kind)  # what is wrong with the photos is said first
        raise ConfigError(
            "training: class_photos are given but prior_preservation is off: set it to true, "
            "or leave class_photos out."
        )
    if not given:
        plan = TrainingPlan(config, reader.photos(photos, config.kind))
        if class_photos is None:
            return plan
        return replace(plan, class_photos=reader.class_photos(class_photos))

    def read(one: GivenConcept, concept: Concept) -> ConceptPhotos:
        own = one.class_photos if config.prior_preservation else None
        return ConceptPhotos(
            _of(one, "instance_data_dir", lambda: reader.photos(one.photos, concept.kind)),
            _of(one, "class_data_dir", lambda: reader.class_photos(own)) if own else None,
        )

    read_ones = [read(*pair) for pair in zip(given, config.every_concept, strict=True)]
    first = read_ones[0]
    return TrainingPlan(config, first.photos, first.class_photos, tuple(read_ones[1:]))


def _of(one: GivenConcept, field: str, read: Callable[[], Of]) -> Of:
    """Say of an error which entry it is of."""
    try:
        return read()
    except LensaError as error:
        error.args = (f"{one.where}: {field}: {error}", *error.args[1:])
        raise


def one_of(field: str, value: str, known: Sequence[str]) -> None:
    """Raise ConfigError for a word that is none of those that are known."""
    if value not in known:
        raise ConfigError(f"unknown {field} {value!r}.{suggest(str(value), known)}")
