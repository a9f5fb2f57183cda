"""Images out of base models and avatars: validation, class images and serving go through here.

    micro.py      a base with random weights, made by code in a second: plumbing, no pictures
    bases.py      load_base, base_revision: any BaseModelRef into a pipeline
    families/     what is specific to an architecture, behind one protocol
    generate.py   generate: a GenerationRequest into images, the same bytes every time
    prompts.py    the subject put into a prompt
    noise.py      the starting noise of image i
    samplers.py   the schedulers by name
    encode.py     images into PNG, JPEG or WebP, with what it takes to make them again
    expand.py     MagicPrompt: a language model goes on writing the prompt
    avatars.py    load_avatar: a trained folder, every byte and every key accounted for
    inference.py  model_fn, input_fn, predict_fn, output_fn as SageMaker's images call them
    server.py     python -m inference_entrypoint.server: the same handlers behind HTTP

Of `lensa` this package imports `lensa.contract` and `lensa.errors` only, and never
`training_entrypoint`. Nothing is imported here: a process pays for what it uses.
"""

import logging
import os

# What the libraries say at import and at every load is about themselves, not about the avatar.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
