"""An avatar for other programs: files that they read, each whole or not there.

    layout.py      the tensor names of the first Stable Diffusion, for a pipeline of any size
    checkpoint.py  the whole model in one file, under these names
    kohya.py       the LoRA as AUTOMATIC1111 and ComfyUI read it
    folder.py      the whole model as a diffusers folder
    lora.py        the LoRA as it is
    merging.py     an avatar as a pipeline of plain weights, for the whole model
    describing.py  what readers show beside a file
    push.py        any of these to a hub repository; card.py: its model card
    writing.py     precision, a temporary name, a disk that is full
    __main__.py    python -m inference_entrypoint.exporting: one export, as the client asks for it

Merging goes through peft's own layers: what an adapter does while drawing is what ends up in the
weights.
"""
