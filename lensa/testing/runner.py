"""Runs a training job: from Starting to its end, with everything that may come between."""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from lensa.contract.layout import Layout
from lensa.testing.channels import (
    DownloadError,
    FolderSync,
    download_channel,
    restore,
    upload_folder,
)
from lensa.testing.cloudwatch import open_stream
from lensa.testing.container import (
    Container,
    command_of,
    environment_of,
    inside,
    lay_out,
    namespaces,
)
from lensa.testing.job import GROUP, TwinJob
from lensa.testing.sites import Site

_GRACE = timedelta(seconds=120)  # of the clock, between SIGTERM and SIGKILL
_CHECKPOINTS = "/opt/ml/checkpoints"
_TICK = 0.02  # real seconds between two looks at a container
_SYNC_EVERY = 0.1  # real seconds between two looks at its checkpoints

Cause = Literal["close", "stop", "max_runtime", "max_wait", "interrupt"]
_LIMITS: dict[Cause, tuple[str, str]] = {
    "stop": ("Stopped", "Training job stopped"),
    "max_runtime": (
        "MaxRuntimeExceeded",
        "Training job runtime exceeded MaxRuntimeInSeconds provided",
    ),
    "max_wait": ("MaxWaitTimeExceeded", "Training job exceeded MaxWaitTimeInSeconds provided"),
}


class Runner:
    """One job in a thread of its own."""

    def __init__(self, job: TwinJob, site: Site) -> None:
        self.job, self._site = job, site
        self._thread = threading.Thread(target=self._run, name=f"twin-{job.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the job and everything of it, whatever it is doing."""
        self.job.closing = True
        self.job.wake.set()
        self._thread.join()

    def _run(self) -> None:
        job = self.job
        try:
            self._life()
        except Exception:
            # A test has to see what is wrong with the twin, not wait for a job that is nowhere.
            job.fail(f"InternalServerError: {traceback.format_exc()[-1000:]}")
        finally:
            job.finish()

    def _life(self) -> None:
        job, faults = self.job, self._site.faults
        if slow := faults.take("slow", job.name):
            start = job.created + timedelta(seconds=slow.seconds)
            self._pass_time(lambda: self._site.clock.now() >= start)
        if not self._ended_early() and faults.take("capacity", job.name):
            job.fail(
                "CapacityError: Unable to provision requested ML compute capacity. "
                "Please retry using a different ML instance type."
            )
        while not job.done and not self._ended_early():
            root = Path(tempfile.mkdtemp(prefix=f"{job.name}-", dir=self._site.folder))
            try:
                job.begin_to_run()
                self._attempt(root)
            finally:
                job.cease_to_run()
                job.pid = None
                shutil.rmtree(root, ignore_errors=True)
            if not job.done and not job.closing:
                job.enter("Interrupted", "Training job interrupted")
                job.enter("Starting", "Launching requested ML instances")

    def _ended_early(self) -> bool:
        """End a job that has no container, if it is to end."""
        cause = self._cause()
        if cause in _LIMITS and not self.job.done:
            secondary, message = _LIMITS[cause]
            self.job.enter(secondary, message, "Stopped")
        return cause is not None

    def _pass_time(self, until: Callable[[], bool]) -> None:
        while not until() and self._cause() is None:
            self.job.wake.wait(_TICK)
            self.job.wake.clear()

    def _cause(self) -> Cause | None:
        """Say why the job has to end now, if it has to."""
        job, limits = self.job, self.job.request["StoppingCondition"]
        if job.closing:
            return "close"
        if job.stopping:
            return "stop"
        if job.ran() > limits["MaxRuntimeInSeconds"]:
            return "max_runtime"
        wait = limits.get("MaxWaitTimeInSeconds")
        age = self._site.clock.timestamp() - job.created.timestamp()
        return "max_wait" if wait and age > wait else None

    # --- one container ---

    def _attempt(self, root: Path) -> None:
        """Download, run, upload. A job that has not ended then was interrupted."""
        job, request, site = self.job, self.job.request, self._site
        job.enter("Downloading", "Downloading input data")
        layout = lay_out(root, request, job.region)
        sync: FolderSync | None = None
        try:
            for channel in request.get("InputDataConfig", []):
                folder = layout.channel(channel["ChannelName"])
                download_channel(
                    site.s3, channel, folder, role=request["RoleArn"], region=job.region
                )
            if config := request.get("CheckpointConfig"):
                checkpoints = Path(inside(config.get("LocalPath", _CHECKPOINTS), root))
                checkpoints.mkdir(parents=True, exist_ok=True)
                restore(site.s3, config["S3Uri"], checkpoints)
                sync = FolderSync(site.s3, checkpoints, config["S3Uri"], self._kms_key)
        except DownloadError as problem:
            job.fail(str(problem))
            return
        if self._cause() is not None:
            self._ended_early()
            return
        job.enter("Training", "Training image download completed. Training in progress.")
        job.starts += 1
        try:
            container = self._start(root)
        except OSError as problem:
            words = shlex.join(request["AlgorithmSpecification"]["ContainerEntrypoint"])
            job.fail(f"AlgorithmError: cannot run {words}: {problem.strerror}, exit code: 127")
            return
        try:
            cause = self._watch(container, sync)
        finally:
            code = container.exit_code()
            container.close()
        if cause == "close":
            return
        if sync is not None:
            sync.sync()
        if cause == "interrupt" or (cause is None and self._interrupted()):
            return
        if cause is None and code:
            said = layout.failure.read_text(errors="replace") if layout.failure.is_file() else ""
            suffix = f", exit code: {code}"
            job.fail(f"AlgorithmError: {said}"[: 1024 - len(suffix)] + suffix)
            return
        self._upload(layout, cause)

    def _start(self, root: Path) -> Container:
        job, site = self.job, self._site
        python = site.container_python()
        environment = environment_of(
            job.request, job.arn, root, python, site.credentials(job.region)
        )
        command = command_of(job.request, root, python)
        if fault := site.faults.take("container", job.name):
            if fault.failure:
                (root / "output" / "failure").write_text(fault.failure)
            command = ["/bin/sh", "-c", f"exit {fault.exit_code}"]
        isolated = bool(job.request.get("EnableNetworkIsolation"))
        options = namespaces(process_1=site.pid_namespace, isolated=isolated)
        stream = f"{job.name}/algo-1-{int(site.clock.timestamp())}"
        in_cloudwatch = open_stream(GROUP, stream, job.region, site.clock)

        def take(line: str) -> None:
            in_cloudwatch(line)
            job.take_line(line)

        container = Container(command, environment, root, take, unshare=options)
        job.pid = container.pid
        return container

    def _watch(self, container: Container, sync: FolderSync | None) -> Cause | None:
        """Follow the container to its end, and return what made it end if not itself."""
        job, clock = self.job, self._site.clock
        cause: Cause | None = None
        kill_at, synced = clock.now(), 0.0
        while container.exit_code() is None:
            if cause is None or cause == "interrupt":
                newer = self._cause()
                if newer is None and cause is None and self._interrupted():
                    newer = "interrupt"
                if newer == "close":
                    return newer
                if newer in _LIMITS and not job.stopping:
                    job.enter("Stopping", "Stopping the training job", "Stopping")
                if newer is not None and cause is None:
                    container.send(signal.SIGTERM)
                    kill_at = clock.now() + _GRACE
                cause = newer or cause
            elif job.closing:
                return "close"
            if cause is not None and clock.now() >= kill_at:
                container.send(signal.SIGKILL)
            if sync is not None and time.monotonic() - synced > _SYNC_EVERY:
                sync.sync()
                synced = time.monotonic()
            job.wake.wait(_TICK)
            job.wake.clear()
        return cause

    def _interrupted(self) -> bool:
        job = self.job
        return job.spot and self._site.faults.take("interrupt", job.name, job.step) is not None

    def _upload(self, layout: Layout, cause: Cause | None) -> None:
        job, site = self.job, self._site
        output = job.request["OutputDataConfig"]
        compress = output.get("CompressionType", "GZIP") == "GZIP"
        status = "Stopping" if cause else "InProgress"
        job.enter("Uploading", "Uploading generated training model", status)
        if cause is None and site.faults.take("upload", job.name):
            job.fail("ClientError: Artifact upload failed:Access Denied")
            return
        target = f"{output['S3OutputPath'].rstrip('/')}/{job.name}/output"
        try:
            artifacts = upload_folder(
                site.s3, layout.model, target, "model", compress=compress, kms_key=self._kms_key
            )
            name = "output" if compress else "data"
            upload_folder(
                site.s3, layout.output, target, name, compress=compress, kms_key=self._kms_key
            )
        except site.s3.exceptions.ClientError as problem:
            job.fail(f"ClientError: Artifact upload failed:{problem.response['Error']['Message']}")
            return
        if cause is None or any(layout.model.iterdir()):
            job.artifacts = artifacts
        if cause is None and job.stopping:
            cause = "stop"  # asked for while the model was uploaded
        if cause is None:
            job.enter("Completed", "Training job completed", "Completed")
        else:
            secondary, message = _LIMITS[cause]
            job.enter(secondary, message, "Stopped")

    @property
    def _kms_key(self) -> str:
        return str(self.job.request["OutputDataConfig"].get("KmsKeyId", ""))
