"""What runs first in a container: `python3 lensa.pyz train`. It needs the standard library only.

__main__.py       signals, before anything else
container.py      requirements, then secrets, then the training in the same process
requirements.py   what is installed is compared with the pins; what differs is installed
secrets.py        Secrets Manager into environment variables
say.py            events and the failure file, before pydantic is there
"""
