"""What runs first in a container: `python3 lensa.pyz train` or `serve`, or `code/inference.py`. It
needs the standard library only.

__main__.py       signals, before anything else
container.py      requirements, then secrets, then the training or our server in the same process
handlers.py       the same for AWS's serving image, whose toolkit asks for handlers
code/             the file that it imports
surroundings.py   what libraries are told before they are imported
requirements.py   what is installed is compared with the pins; what differs is installed
secrets.py        Secrets Manager into environment variables
say.py            events and the failure file, before pydantic is there
"""
