"""What the toolkit's own `serve` does, where nothing may be written to /etc: python serve.py FOLDER

The settings go through the toolkit's own reading of the environment into the file that the server
reads, and the server takes this process' place. What differs from the image: it listens on loopback
only, what it writes lies in FOLDER, and the handler service comes by way of the shim.
"""

import os
import sys
from pathlib import Path

import sagemaker_inference
from sagemaker_inference import environment

SHIM = "toolkit_under_transformers_5"

folder = Path(sys.argv[1])
supplied = Path(sagemaker_inference.__file__).parent / "etc"
settings = environment.Environment()
address = f"http://127.0.0.1:{settings.inference_http_port}"
properties = {
    "default_response_timeout": settings.model_server_timeout,
    "default_response_timeout_seconds": settings.model_server_timeout_seconds,
    "default_workers_per_model": settings.model_server_workers,
    "inference_address": address,
    "management_address": address,
    "vmargs": settings.vmargs,
    "max_request_size": settings.max_request_size,
    "default_service_handler": SHIM,
}
lines = [f"{name}={value}\n" for name, value in properties.items() if value]
configuration = folder / "sagemaker-mms.properties"
configuration.write_text((supplied / "default-mms.properties").read_text() + "".join(lines))

command = [sys.executable, "-m", "mms.model_server", "--start", "--foreground"]
command += ["--model-store", "/", "--models", f"model={environment.model_dir}"]
command += ["--mms-config", str(configuration), "--log-config", str(supplied / "log4j2.xml")]
os.execv(sys.executable, command)
