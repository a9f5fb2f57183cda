"""The twin: an AWS account that is not there, and really runs its training jobs and endpoints."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from lensa.errors import BusyError, UserError
from lensa.testing.account import ACCOUNT, QuotaApi, default_quotas
from lensa.testing.clock import Clock
from lensa.testing.container import cannot_be_process_1
from lensa.testing.corrections import correct_moto
from lensa.testing.faults import Faults
from lensa.testing.hosting.endpoint import TwinEndpoint
from lensa.testing.hosting.hosting import Hosting
from lensa.testing.job import TwinJob
from lensa.testing.models import client
from lensa.testing.operations import CONTAINER_KEY, PLATFORM_KEY, Call
from lensa.testing.pricing import PricingApi, default_prices
from lensa.testing.roles import SAGEMAKER, SCHEDULER, trust
from lensa.testing.schedules import Firing
from lensa.testing.sites import Site
from lensa.testing.tags import TagsApi
from lensa.testing.training_jobs import TrainingApi

_CLIENT_KEY = "AKIATWINCLIENT"


class SagemakerTwin:
    """moto's AWS on a local port, with SageMaker's training jobs and endpoints for real.

    Use it as a context manager. One twin at a time in a process: moto's state is the process's.
    An account without anything but `role` and `bucket` is there each time.

    Args:
        region: where `bucket` is; jobs and other resources go to the region that asks for them.
        port: 0 takes any free one.
        python: the Python of the containers; without it, this process's version with the packages
            that are installed in this environment, except for editable ones.
        pid_namespace: run the job's command as process 1, as SageMaker does (Linux, `unshare`).

    Raises UserError if moto is not installed or namespaces are not possible, and BusyError if
    another twin is open.
    """

    account = ACCOUNT
    bucket = "lensa-twin"

    _open: SagemakerTwin | None = None

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        port: int = 0,
        python: Path | None = None,
        pid_namespace: bool = False,
    ) -> None:
        self.region = region
        self.role = f"arn:aws:iam::{ACCOUNT}:role/lensa-twin"
        self.clock = Clock()
        self.faults = Faults()
        self.url = ""
        self.quotas: dict[str, float] = {}
        """Name of a SageMaker quota -> its value, to be set by a test."""
        self.prices: dict[tuple[str, str], float] = {}
        """(region, instance type) -> dollars an hour, to be set by a test."""
        self.calls: list[Call] = []
        """Every request so far, the containers' too (`source`)."""
        self.patience = 60.0
        """Real seconds that InvokeEndpoint waits for an answer."""
        self._port, self._python, self._pid_namespace = port, python, pid_namespace

    def __enter__(self) -> SagemakerTwin:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Open the port, on an empty account."""
        if SagemakerTwin._open is not None:
            raise BusyError("another SagemakerTwin is open in this process: close that one first")
        if self._pid_namespace and (missing := cannot_be_process_1()):
            raise UserError(f"SagemakerTwin(pid_namespace=True): {missing}")
        require_moto()
        from moto.moto_api._internal.models import moto_api_backend

        from lensa.testing.server import Gateway, Server

        _prepare_moto()
        moto_api_backend.reset()
        self._corrected = correct_moto()
        self._folder = Path(tempfile.mkdtemp(prefix="lensa-twin-"))
        self.quotas |= default_quotas()
        self.prices |= default_prices()
        self._site = Site(
            s3=None,
            clock=self.clock,
            faults=self.faults,
            folder=self._folder,
            url="",
            python=self._python,
            pid_namespace=self._pid_namespace,
            container_key=CONTAINER_KEY,
        )
        self._training = TrainingApi(self._site, self.quotas)
        self._hosting = Hosting(self._site, self.quotas, lambda: self.patience)
        gateway = Gateway(self._handlers(), self.faults)
        try:
            self._server = Server(gateway, self._port)
        except BaseException:
            self._restore()
            raise
        SagemakerTwin._open = self
        atexit.register(self.close)  # for a script that forgets it
        self.calls = gateway.calls
        self.url = self._site.url = self._server.url
        self._site.s3 = client("s3", self.region, self.url, PLATFORM_KEY)
        self._furnish()
        self._hosting.start()

    def close(self) -> None:
        """End the containers and threads, and remove the files. Again does nothing."""
        if SagemakerTwin._open is not self:
            return
        self._training.close()
        self._hosting.close()
        self._site.s3.close()
        self._server.close()
        self._restore()
        SagemakerTwin._open = None
        atexit.unregister(self.close)

    def _restore(self) -> None:
        self._corrected.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- for tests ---

    @property
    def jobs(self) -> dict[str, TwinJob]:
        """The training jobs, by name."""
        return self._training.jobs()

    @property
    def endpoints(self) -> dict[str, TwinEndpoint]:
        """The endpoints that are there, by name."""
        return {endpoint.name: endpoint for endpoint in self._hosting.endpoints.all()}

    @property
    def firings(self) -> list[Firing]:
        """What EventBridge Scheduler has called, or could not call and why, in order."""
        return list(self._hosting.scheduler.firings)

    def resources(self) -> dict[str, list[str]]:
        """Return the names of what belongs to endpoints: all that a deployment could leave behind.

        The keys are endpoints, endpoint_configs, models, schedules, scalable_targets,
        scaling_policies and alarms.
        """
        return self._hosting.resources()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which any AWS SDK or process talks to the twin."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _CLIENT_KEY,
            "AWS_SECRET_ACCESS_KEY": "twin",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client of the twin."""
        return client(service, region or self.region, self.url, _CLIENT_KEY)

    def called(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of every request of clients for an operation, in order."""
        return [
            call.parameters
            for call in list(self.calls)
            if call.operation == operation and call.source == "client"
        ]

    # --- inside ---

    def _furnish(self) -> None:
        from moto.iam.models import iam_backends

        iam_backends[ACCOUNT]["aws"].create_role(
            role_name="lensa-twin",
            assume_role_policy_document=trust(SAGEMAKER, SCHEDULER),
            path="/",
            permissions_boundary=None,
            description="The role of the twin's training jobs, endpoints and schedules",
            tags=[],
            max_session_duration="3600",
        )
        where = {"LocationConstraint": self.region}
        more = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": where}
        self._site.s3.create_bucket(Bucket=self.bucket, **more)

    def _handlers(self) -> dict[tuple[str, str], Any]:
        training, quotas = self._training, QuotaApi(self.quotas)
        tags = TagsApi([training.tags_of, *self._hosting.tags()])
        return {
            ("sagemaker", "CreateTrainingJob"): training.create,
            ("sagemaker", "DescribeTrainingJob"): training.describe,
            ("sagemaker", "ListTrainingJobs"): training.list,
            ("sagemaker", "StopTrainingJob"): training.stop,
            ("sagemaker", "DeleteTrainingJob"): training.delete,
            ("sagemaker", "AddTags"): tags.add,
            ("sagemaker", "ListTags"): tags.list,
            ("sagemaker", "DeleteTags"): tags.delete,
            **self._hosting.handlers(),
            ("service-quotas", "ListServiceQuotas"): quotas.list,
            ("service-quotas", "GetServiceQuota"): quotas.get,
            ("pricing", "GetProducts"): PricingApi(self.prices).get_products,
        }


def _prepare_moto() -> None:
    """Let moto make its one boto3 session, which would fail on a profile that is not there."""
    from moto.core.base_backend import AccountSpecificBackend

    profile = os.environ.pop("AWS_PROFILE", None)
    try:
        AccountSpecificBackend.get_session()
    finally:
        if profile is not None:
            os.environ["AWS_PROFILE"] = profile


def require_moto() -> None:
    """Raise UserError unless what the twin is made of is installed."""
    from importlib.util import find_spec

    missing = [name for name in ("moto", "flask", "flask_cors", "boto3") if find_spec(name) is None]
    if missing:
        raise UserError(f"lensa.testing needs {', '.join(missing)}: pip install 'lensa[testing]'")
