"""The recipe of `mini`, lensa's embedded base model: draw, train, export, evaluate.

Each step is one command, run from the repository root, seeded and (but for the critic) resumable::

    python -m mini.draw              captioned avatars              -> mini/work/avatars.npz
    python -m mini.train_tokenizer   reduced CLIP vocabulary        -> mini/work/tokenizer/
    python -m mini.train_vae         AutoencoderKL, 4x, 8 channels  -> mini/work/vae.pt
    python -m mini.critic            reads latents, for the UNet    -> mini/work/critic.pt
    python -m mini.train_unet        UNet and text encoder together -> mini/work/unet.pt
    python -m mini.train_expander    GPT-2 prompt expander          -> mini/work/expander/
    python -m mini.train_embedder    a small CLIP, for measuring    -> mini/work/embedder.pt
    python -m mini.export            fp16 safetensors               -> mini/lensa_mini/
    python -m mini.classifier        reads attributes off pictures  -> mini/work/classifier.pt
    python -m mini.identity          tells who a picture is of      -> mini/work/identity.pt
    python -m mini.dreambooth        40 avatars of held-out people  -> mini/work/runs/
    python -m mini.evaluate          the model card's figures       -> mini/evaluation.json
"""
