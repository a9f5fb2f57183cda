"""Images out of base models and avatars: validation, class images and serving go through here.

    micro.py         a base with random weights, made by code in a second: plumbing, no pictures
    bases.py, hub.py load_base, base_revision: any BaseModelRef into a pipeline
    families/        what is specific to an architecture, behind one protocol
    artifact.py      an avatar's files, held against its manifest
    devices.py       where to draw: a GPU that is there and cannot be used is no CPU
    avatars.py       load_avatar: a trained folder, every byte and every key accounted for
    adapters.py      several LoRAs in one pipeline: loaded, used at their scales, dropped
    library.py       many avatars of one base, the least recently used dropped
    shelf.py, shelf_bucket.py   those that were added to an endpoint, fetched from S3

    vaes.py          another VAE in the base's place

    generate.py      generate: a GenerationRequest into images, the same bytes every time
    order.py         a request read and encoded, and what became of its images
    batching.py      orders side by side, a batch at a time
    side_by_side.py  adapters side by side: each row of a batch by its own
    prompts.py       the subject put into a prompt
    expand.py        MagicPrompt: a language model goes on writing it (blocklist.py: but not that)
    conditioning.py  prompts of any length, with weights, into what the denoiser reads
    starting_image.py a picture to begin with
    drawing.py       batches that leave no mark on what is in them
    noise.py         the starting noise of image i
    samplers.py      the schedulers by name
    remembering.py   the prompt's keys and values, computed once
    modes.py         networks lent to drawing, and given back in their modes
    face_detail.py   small faces, drawn once more
    safety.py        what the checker sees, and what is done about it
    few_step.py, tiny_decoder.py   the hub's LoRAs for four steps, and TAESD
    encode.py        images into PNG, JPEG or WebP, with what it takes to make them again

    exporting/       an avatar for other programs

    inference.py     model_fn, input_fn, predict_fn, output_fn, as SageMaker has them
    answers.py, media.py   what was drawn, as it is sent; the types that an answer has
    aws_image.py, aws_model.py, aws_context.py   for AWS's Hugging Face image, where no exception
                     may leave a handler, and what cannot be loaded is tried again
    statuses.py      what an error is to a client

    server.py        python -m inference_entrypoint.server: a process that speaks HTTP
    app.py, events.py, refusals.py   its routes, its streams, its errors
    protocol.py, bodies.py   HTTP with clocks and bounds, against slow and hostile clients
    engine.py        its queue, and the process that draws, started again if it dies
    broken_gpu.py    when only a new process draws again
    drawer.py, channel.py, unused.py   that process, what the two say, what it does without
    metrics.py, logs.py   what is counted, and what is logged
    openapi.py       what its routes take and answer, as a schema

Of `lensa` this package imports `lensa.contract` and `lensa.errors` only, and never
`training_entrypoint`. Nothing is imported here: a process pays for what it uses.
"""

import logging
import os

# What the libraries say at import and at every load is about themselves, not about the avatar.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
