"""AWS's deep learning containers: which account of AWS's own keeps them, by region."""

from __future__ import annotations

from lensa.errors import ConfigError

TRAINING = "huggingface-pytorch-training:2.9.0-transformers5.3.0-gpu-py312-cu130-ubuntu22.04"
INFERENCE = "huggingface-pytorch-inference:2.6.0-transformers5.5.3-gpu-py312-cu124-ubuntu22.04"

_ACCOUNT = "763104351884"
_OTHER_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-northeast-3": "364406365360",
    "ap-southeast-3": "907027046896",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-south-1": "692866216735",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
_SAME_ACCOUNT = (
    *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)

ACCOUNTS = dict(sorted({**dict.fromkeys(_SAME_ACCOUNT, _ACCOUNT), **_OTHER_ACCOUNTS}.items()))


def training_image(region: str) -> str:
    """Return the training container's image in a region; ConfigError where AWS has none."""
    return _image(region, TRAINING, "training", "train")


def inference_image(region: str) -> str:
    """Return the serving container's image in a region; ConfigError where AWS has none."""
    return _image(region, INFERENCE, "inference", "deploy")


def _image(region: str, name: str, kind: str, verb: str) -> str:
    if region not in ACCOUNTS:
        raise ConfigError(
            f"AWS keeps no Hugging Face {kind} image in {region!r}: copy one into your own "
            f"registry there and name it with the option image, or {verb} in another region."
        )
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{ACCOUNTS[region]}.dkr.ecr.{region}.{suffix}/{name}"
