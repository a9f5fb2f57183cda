"""THE shim: the released toolkit (2.6.0), importable under transformers 5. Never shipped.

`sagemaker_huggingface_inference_toolkit.transformers_utils` imports `is_tf_available`, which
transformers 5 no longer has. AWS's image carries a commit of the toolkit that was never released;
here the missing name is put back, with the only answer there is, and nothing else is touched.

multi-model-server imports its handler service by name: this one, which is the toolkit's own.
"""

import sys

import transformers.file_utils

transformers.file_utils.is_tf_available = lambda: False

from sagemaker_huggingface_inference_toolkit import handler_service  # noqa: E402

sys.modules[__name__] = handler_service
