"""What a container is told beside its configuration: environment variables.

Of a training they are not part of the recipe: the same training with another limit or cache is the
same job.
SageMaker allows 512 characters a value.
"""

from __future__ import annotations

# Seconds after the container's start at which the platform ends the job. The job exports what it
# has before that.
MAX_RUNTIME = "LENSA_MAX_RUNTIME"

# JSON object {environment variable: ARN of a Secrets Manager secret}, read with the job's role.
SECRETS = "LENSA_SECRETS"

# Dollars an hour of the machine, on demand, for the training's report: the container cannot ask.
HOURLY = "LENSA_HOURLY"

# JSON of a Consent (lensa.contract.consent), for the avatar's manifest.
CONSENT = "LENSA_CONSENT"

# s3://bucket/prefix under which the job keeps the class images it has drawn, for later jobs; or a
# folder of this machine, in which each kind of them has a folder of its own.
CLASS_CACHE = "LENSA_CLASS_CACHE"

# The KMS key that they are encrypted with; without it the bucket's own default.
KMS_KEY = "LENSA_KMS_KEY"

# Of a server: seconds from a request's arrival to its answer; 0: no end.
DEADLINE = "LENSA_DEADLINE"

# Of a server: the most bytes of an answer; 0: any number. Without it: what a real-time endpoint
# sends.
MAX_ANSWER_BYTES = "LENSA_MAX_ANSWER"

# Of an endpoint: s3://bucket/prefix below which the avatars lie that were added to it after it was
# deployed, each in a folder of its id, `avatar.json` written last. Read with the endpoint's role.
AVATARS = "LENSA_AVATARS"

# Of a server: what whoever asks has to know. Not an argument: those are seen by everybody on the
# machine.
SERVE_TOKEN = "LENSA_SERVE_TOKEN"


def class_cache_variable(number: int) -> str:
    """Return the name of CLASS_CACHE for a concept: the subject is number 1."""
    return CLASS_CACHE if number == 1 else f"{CLASS_CACHE}_{number}"
