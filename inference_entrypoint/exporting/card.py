"""The model card of an avatar on the hub. It names nobody, and no folder of anybody's machine."""

from __future__ import annotations

from huggingface_hub import ModelCardData

from lensa.contract import AvatarManifest, BaseModelRef, TrainingConfig, VaeRef
from lensa.contract.exports import ExportFormat

_KINDS: dict[ExportFormat, str] = {
    "lora": "a LoRA in diffusers' form",
    "kohya": "a LoRA in kohya's form, for AUTOMATIC1111 and ComfyUI",
    "checkpoint": "a whole checkpoint in the layout of Stable Diffusion 1",
    "diffusers": "a whole model as a diffusers folder",
}

_LIKENESS = """\
## This draws a real person

The images that this model makes look like one person. Keep it private, or publish it only as far as
that person has agreed, and use it for nothing that they would not agree to: no deception, no
defamation, nothing sexual. In many countries a person's likeness is protected by law. Take the
model down when they ask for it.
"""

_LOADING: dict[ExportFormat, str] = {
    "lora": """\
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("{base}")
pipeline.load_lora_weights("{repo}", weight_name="{file}")
pipeline("{prompt}").images[0]
""",
    "diffusers": """\
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("{repo}")
pipeline("{prompt}").images[0]
""",
}

_PLACES: dict[ExportFormat, str] = {
    "kohya": "Put `{file}` into `models/Lora` of AUTOMATIC1111 and write "
    "`<lora:{stem}:1> {prompt}`, or into `models/loras` of ComfyUI for its node Load LoRA.",
    "checkpoint": "Put `{file}` into `models/Stable-diffusion` of AUTOMATIC1111 or "
    "`models/checkpoints` of ComfyUI, and write `{prompt}`.",
}


def model_card(
    manifest: AvatarManifest, format: ExportFormat, repo: str, file: str, licence: str | None
) -> str:
    """Return README.md for a repository. `file` is the export's name there, `licence` that of the
    base by the hub's name for it, if known."""
    config = manifest.config
    prompt = config.fill(config.instance_prompt)
    adapter = format in ("lora", "kohya")
    on_hub = config.base.location if config.base.source == "hub" else None
    data = ModelCardData(
        license=licence,
        base_model=on_hub,
        base_model_relation=("adapter" if adapter else "finetune") if on_hub else None,
        instance_prompt=prompt,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=["stable-diffusion", "text-to-image", "dreambooth", *(["lora"] if adapter else [])],
    )
    names = {
        "repo": repo,
        "file": file,
        "stem": file.rpartition(".")[0],
        "prompt": prompt,
        "base": on_hub or "THE BASE MODEL",
    }
    how = (
        f"```python\n{_LOADING[format].format(**names)}```"
        if format in _LOADING
        else _PLACES[format].format(**names)
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {manifest.avatar}",
        f"An avatar: {_KINDS[format]}, trained with DreamBooth for {manifest.steps_trained} steps "
        f"on {len(manifest.photo_digests)} photos. {_learned(config)} The photos are not here.",
        *([_LIKENESS.strip()] if config.of_people else []),
        "## How to use it",
        how,
        "## The base",
        f"{_base(config.base)} {_terms(licence)}",
        *([_vae(config.vae, adapter)] if config.vae is not None else []),
    ]
    return "\n\n".join(parts) + "\n"


def _learned(config: TrainingConfig) -> str:
    words = [f"`{one.subject}` stands for one {one.class_noun}" for one in config.every_concept]
    return f"In a prompt {', '.join(words)}."


def _base(base: BaseModelRef) -> str:
    if base.source == "hub":
        return f"It is made from [{base.location}](https://huggingface.co/{base.location})."
    if base.source in ("package", "generated"):
        return f"It is made from `{base.name}`, which comes with lensa."
    return "It is made from a base model that is not on the hub."


def _vae(vae: VaeRef, adapter: bool) -> str:
    # A folder's path is somebody's machine.
    name = f"`{vae}`" if vae.source == "hub" else "a VAE that is not on the hub"
    where = "use it in the place of the base's own" if adapter else "it is in here"
    return f"It was trained with {name}: {where}."


def _terms(licence: str | None) -> str:
    if licence is None:
        return "Its licence is not known to the program that wrote this: look it up before use."
    return f"That is under `{licence}`, whose terms hold for what is made from it."
