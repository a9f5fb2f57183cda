"""What an export is told: which form, where to, and for whom."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.bases import Method

ExportFormat = Literal["lora", "kohya", "checkpoint", "diffusers"]
ExportPrecision = Literal["fp16", "fp32"]

# What an avatar can become, by what was trained: of full weights there is no LoRA.
FORMATS: dict[Method, tuple[ExportFormat, ...]] = {
    "lora": ("lora", "kohya", "checkpoint", "diffusers"),
    "full": ("checkpoint", "diffusers"),
}


class ExportRequest(Contract):
    """One export of the avatar in a folder of this machine.

    Of `out` and `push` at least one is given: a path, a hub repository `owner/name`, or both.
    """

    title: ClassVar[str] = "export"

    avatar: str  # its folder
    format: ExportFormat
    out: str | None = None
    # None: the form's own: fp16, and of a LoRA in diffusers' form what it has.
    precision: ExportPrecision | None = None
    pickled: bool = False  # the checkpoint as .ckpt: for programs that read no safetensors
    force: bool = False
    push: Annotated[str, Field(pattern=r"^[\w.-]{1,96}/[\w.-]{1,96}$")] | None = None
    public: bool = False

    def check(self) -> None:
        if self.out is None and self.push is None:
            raise ValueError("neither out nor push is given: say where it goes.")
        if self.public and self.push is None:
            raise ValueError("public is about a hub repository: say which one, with push.")
        if self.pickled and self.format != "checkpoint":
            raise ValueError(
                f"pickled (--ckpt) is about a checkpoint, and this is {self.format}: leave it out."
            )
        if self.pickled and self.push is not None:
            raise ValueError("a .ckpt is not pushed, it can run code: leave pickled (--ckpt) out.")
        if self.format == "lora" and self.precision is not None:
            raise ValueError(
                "a LoRA in diffusers' form is copied as it is: leave precision out, or choose "
                "kohya."
            )
        suffix = self.suffix
        if self.out is not None and suffix and not self.out.endswith(suffix):
            raise ValueError(f"out = {self.out!r}: a {self.format} file ends in {suffix}.")

    @property
    def suffix(self) -> str:
        """Of the file; a diffusers folder has none."""
        if self.format == "diffusers":
            return ""
        return ".ckpt" if self.pickled else ".safetensors"
