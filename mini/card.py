"""Puts the measured figures into the model card, between its two markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def write_card(result: dict[str, Any]) -> None:
    """Every figure that `result` has; the others are said not to be measured."""
    parts: list[str] = []
    for name, (title, section) in SECTIONS.items():
        parts += [f"### {title}", ""]
        if name in result:
            parts += [f"Revision `{result[name]['revision']}`. " + section(result[name])]
        else:
            parts += [f"Not measured yet: `python -m mini.evaluate --figures {name}`."]
        parts.append("")
    text = CARD.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    CARD.write_text(text[:start] + "\n" + "\n".join(parts) + text[end:])


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n\n" + "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(value: Any) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return text if "`" in text else text.replace("_", " ")  # a figure keeps its name


def interval(told: dict[str, float]) -> str:
    return f"{told['share']:.2f} ({told['low']:.2f} to {told['high']:.2f})"


def prompt_following(figure: dict[str, Any]) -> str:
    kinds = ("generated", "ceiling", "autoencoder", "chance", "share")
    rows = [
        [name, *(row[kind] for kind in kinds), row.get("target_share", "-")]
        for name, row in figure["attributes"].items()
    ]
    return (
        f"{figure['images']} images, {figure['steps']} steps, guidance {figure['guidance']}. "
        f"`attribute_accuracy_share` **{figure['attribute_accuracy_share']:.3f}** (the mean of "
        f"rows with a target); the autoencoder's round trip: "
        f"{figure['autoencoder_psnr_db']:.1f} dB."
    ) + table(
        ["attribute", "generated", "real renders (ceiling)", "after the autoencoder", "chance",
         "share of ceiling", "to reach"],
        rows,
    )  # fmt: skip


def subject(figure: dict[str, Any]) -> str:
    methods = ("lora", "full")
    goal = figure["to_reach"]
    encoder = figure["encoder"]
    rows: list[list[Any]] = [
        ["`identity_share` (95%)", *(interval(figure[m]["identity_share"]) for m in methods),
         f"{goal['identity_share']} or more"],
        ["`control_share` (95%)", *(interval(figure[m]["control_share"]) for m in methods),
         f"{goal['control_share']} or less"],
        ["attributes matched: base model", *(figure[m]["identity_share"]["base"] for m in methods),
         "-"],
        ["attributes matched: avatar", *(figure[m]["identity_share"]["avatar"] for m in methods),
         "-"],
        ["attributes matched: real, after the autoencoder",
         *(figure[m]["identity_share"]["ceiling"] for m in methods), "-"],
        ["rank-1 among 20, mean over styles", *(figure[m]["rank_1"]["mean"] for m in methods),
         f"chance {encoder['chance']:.2f}"],
        ["rank-1, share of its ceiling", *(figure[m]["rank_1"]["share"] for m in methods),
         f"{goal['rank_1_share']} or more"],
    ]  # fmt: skip
    cosines = {
        "base model": "base",
        "avatar": "avatar",
        "other people's avatars": "control",
        "real, after the autoencoder": "autoencoder",
        "real": "real",
    }
    rows += [
        [f"EfficientNet-Lite0 cosine to photos: {name}",
         *(figure[m]["efficientnet_cosine"][key] for m in methods), "-"]
        for name, key in cosines.items()
    ]  # fmt: skip
    skins = figure["lora"]["by_skin"]
    rows += [
        [f"`identity_share`, skin {skin} ({skins[skin]['runs']:.0f} runs)",
         *(figure[m]["by_skin"][skin]["share"] for m in methods), "-"]
        for skin in skins
    ]  # fmt: skip
    rows += [
        [f"`identity_share`, {name.replace('_', ' ')}",
         *(figure[m]["by_attribute"][name]["share"] for m in methods), "-"]
        for name in figure["lora"]["by_attribute"]
    ]  # fmt: skip
    styles = [
        [style, *(figure[m]["rank_1"]["by_style"][style] for m in methods),
         encoder["ceiling"][style], encoder["autoencoder"][style]]
        for style in encoder["ceiling"]
    ]  # fmt: skip
    return (
        f"{figure['runs']} runs: 8 held-out subjects, 2 seeds, LoRA and full weights, default "
        "recipe; all are reported."
        + table(["", "LoRA", "full", "to reach"], rows)
        + "\n\nRank-1 identification by style, and what the encoder makes of real renders:"
        + table(["style", "LoRA", "full", "real (ceiling)", "after the autoencoder"], styles)
    )


def prior(figure: dict[str, Any]) -> str:
    kinds = ("lora", "full", "lora_without_prior")
    goal = figure["to_reach"]
    drift = [interval(figure[kind]["class_drift"]) for kind in kinds]
    fall = [figure[kind]["prompt_accuracy"]["fall"] for kind in kinds]
    rows = [
        ["`class_drift` (95%)", *drift, f"{goal['class_drift']} or less with prior"],
        ["prompt accuracy falls by", *fall, f"{goal['prompt_accuracy_fall']} or less with prior"],
    ]
    return (
        f"Without prior preservation a LoRA drifts {figure['times_without']:.1f} times as far "
        f"(to reach: {goal['times_without']:g})."
        + table(["", "LoRA", "full", "LoRA without prior", "to reach"], rows)
    )  # fmt: skip


def styles(figure: dict[str, Any]) -> str:
    methods = ("lora", "full")
    goal = f"{figure['to_reach']['style_share']} or more"
    rows = [
        ["`style_share`", *(figure[m]["style_share"]["share"] for m in methods), goal],
        ["short prompts alone", *(figure[m]["short_prompts"]["share"] for m in methods), goal],
    ]
    names = {"all": "style_share", "short prompts": "short_prompts"}
    accuracies = [(name, [figure[m][key] for m in methods]) for name, key in names.items()]
    accuracies += [
        (style, [figure[m]["by_style"][style] for m in methods])
        for style in figure["lora"]["by_style"]
    ]
    return (
        "Style accuracy for the subject over the base model's own."
        + table(["", "LoRA", "full", "to reach"], rows)
        + "\n\nHow often the classifier reads the style that was asked for (of each style 4 images "
        "by the base, 32 by avatars):"
        + table(
            ["style", "base model", "LoRA", "full"],
            [[name, of[0]["base"], *(one["after"] for one in of)] for name, of in accuracies],
        )
    )


def speed(figure: dict[str, Any]) -> str:
    goal = figure["to_reach"]
    rows = [
        [f"`train_seconds`, {m}", figure[m]["train_seconds"], figure[m]["longest"],
         f"under {goal['train_seconds']}"]
        for m in ("lora", "full")
    ]  # fmt: skip
    rows.append(
        ["`gallery_seconds`, 8 images", sorted(figure["galleries"])[1],
         figure["gallery_seconds"], f"under {goal['gallery_seconds']}"]
    )  # fmt: skip
    steps = " and ".join(
        f"{figure[m]['steps_trained']:.0f} steps ({m}, step {figure[m]['step_exported']:.0f} "
        "was exported)"
        for m in ("lora", "full")
    )
    return (
        "Two trainings went on at once, one CPU core each; the first ones of a seed drew its class "
        "images, the others found them kept. Galleries alone, at an endpoint. The median training "
        f"had {steps}. Of {figure['lora']['of_runs']} and {figure['full']['of_runs']} that nobody "
        "interrupted:"
    ) + table(["", "median", "longest", "to reach"], rows)


def embedder(figure: dict[str, Any]) -> str:
    same = figure["same_person_auc"]
    rows = [[name, value] for name, value in figure["words"].items()]
    return (
        f"{figure['megabytes']:.1f} MB. Among {figure['pictures']} held-out pictures the right "
        f"caption is the first for {figure['caption_of_picture']['first']:.0%} and among the first "
        f"five for {figure['caption_of_picture']['among_five']:.0%} (chance "
        f"{figure['caption_of_picture']['chance']:.1%}). Two pictures of one person are more "
        f"alike than two of two people in {same['photos']:.0%} of comparisons of photos, and in "
        f"{same['photo_and_style']:.0%} where one has a style (chance 50%). Attributes read "
        "by their words alone:"
    ) + table(["attribute", "accuracy"], rows)


SECTIONS = {
    "prompt_following": ("1. Prompt following", prompt_following),
    "subject": ("2. Subject", subject),
    "prior": ("3. Prior preservation", prior),
    "styles": ("4. The styles survive", styles),
    "speed": ("5. Speed", speed),
    "embedder": ("The embedder", embedder),
}
