"""What goes wrong on request."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from twinjobs import SCRIPT, keys, read, request

from lensa.testing import SagemakerTwin


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_interrupted_spot_jobs_go_on_from_their_checkpoints(sagemaker_twin: SagemakerTwin) -> None:
    for step in (2, 5):
        sagemaker_twin.faults.interrupt_spot(at_step=step)
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=8, pause=0.02, spot=True))
    job = sagemaker_twin.jobs["job"].wait()
    assert job.status == "Completed" and job.starts == 3
    starts = [int(line.split()[1]) for line in job.log if line.startswith("from")]
    assert starts[0] == 0 and 2 <= starts[1] < 5 <= starts[2] <= 8
    assert read(sagemaker_twin, "avatars/job/output/model/weights.txt") == "8"
    assert "checkpoints/job/step.txt" in keys(sagemaker_twin)
    told = sagemaker.describe_training_job(TrainingJobName="job")
    states = [state["Status"] for state in told["SecondaryStatusTransitions"]]
    assert states.count("Interrupted") == 2
    assert states[states.index("Interrupted") + 1] == "Starting"
    assert told["BillableTimeInSeconds"] <= told["TrainingTimeInSeconds"]
    streams = sagemaker_twin.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs"
    )["logStreams"]
    assert len(streams) == 3


def test_two_interruptions_at_one_step_take_two_containers(sagemaker_twin: SagemakerTwin) -> None:
    script = SCRIPT.replace("if stopped:", "if stopped and time.sleep(0.2) is None:")
    for _ in range(2):
        sagemaker_twin.faults.interrupt_spot(at_step=1)
    sagemaker_twin.client("sagemaker").create_training_job(
        **request(sagemaker_twin, steps=5, pause=0.02, spot=True, script=script)
    )
    job = sagemaker_twin.jobs["job"].wait()
    assert (job.status, job.starts) == ("Completed", 3)


def test_an_interruption_comes_even_if_the_container_ended_first(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.faults.interrupt_spot(at_step=1)
    sagemaker_twin.client("sagemaker").create_training_job(
        **request(sagemaker_twin, steps=1, spot=True)
    )
    job = sagemaker_twin.jobs["job"].wait()
    assert (job.status, job.starts) == ("Completed", 2)


def test_a_job_on_demand_is_never_interrupted(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.interrupt_spot(at_step=1)
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin, steps=2))
    assert sagemaker_twin.jobs["job"].wait().starts == 1


def test_checkpoints_are_in_s3_while_the_job_runs(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=100_000, pause=0.01, spot=True))
    job = sagemaker_twin.jobs["job"]
    job.wait_for(lambda job: "checkpoints/job/step.txt" in keys(sagemaker_twin))
    sagemaker.stop_training_job(TrainingJobName="job")
    job.wait()
    last = read(sagemaker_twin, "checkpoints/job/step.txt")
    assert last == read(sagemaker_twin, "avatars/job/output/model/weights.txt")


def test_without_capacity_a_job_fails_before_it_starts(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.no_capacity()
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin))
    job = sagemaker_twin.jobs["job"].wait()
    assert job.starts == 0
    assert job.failure_reason.startswith("CapacityError: Unable to provision requested ML compute")
    assert "TrainingStartTime" not in sagemaker.describe_training_job(TrainingJobName="job")


def test_a_slow_start_lasts_until_the_clock_says_so(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.clock.freeze()
    sagemaker_twin.faults.slow_start(600)
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin, steps=1))
    job = sagemaker_twin.jobs["job"]
    with pytest.raises(TimeoutError, match="did not end"):
        job.wait(timeout=0.2)
    assert (job.status, job.secondary_status) == ("InProgress", "Starting")
    sagemaker_twin.clock.advance(600)
    assert job.wait().status == "Completed"


def test_a_job_can_be_stopped_before_it_starts(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.slow_start(600)
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin))
    sagemaker.stop_training_job(TrainingJobName="job")
    job = sagemaker_twin.jobs["job"].wait()
    assert (job.status, job.starts) == ("Stopped", 0)


def test_a_spot_job_that_waits_too_long_is_stopped(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.slow_start(100_000)
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, spot=True))
    sagemaker_twin.clock.advance(7201)
    job = sagemaker_twin.jobs["job"].wait()
    assert (job.status, job.secondary_status) == ("Stopped", "MaxWaitTimeExceeded")


@pytest.mark.parametrize("exit_code", [1, 137])
def test_a_container_fails_with_the_exit_code_asked_for(
    sagemaker_twin: SagemakerTwin, exit_code: int
) -> None:
    sagemaker_twin.faults.fail_container(exit_code, "CUDA out of memory")
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin))
    job = sagemaker_twin.jobs["job"].wait()
    assert job.failure_reason == f"AlgorithmError: CUDA out of memory, exit code: {exit_code}"


def test_a_quota_refuses_one_job_too_many(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.quotas["ml.g5.2xlarge for training job usage"] = 1
    sagemaker_twin.quotas["ml.g5.2xlarge for spot training job usage"] = 0
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=100_000, pause=0.01))
    with pytest.raises(
        sagemaker.exceptions.ResourceLimitExceeded,
        match=r"usage' is 1 Instances, with current utilization of 1 Instances and a request delta",
    ):
        sagemaker.create_training_job(**request(sagemaker_twin, "two"))
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match="spot training job usage"):
        sagemaker.create_training_job(**request(sagemaker_twin, "three", spot=True))
    assert list(sagemaker_twin.jobs) == ["job"]


def test_a_storm_throttles_each_service_in_its_own_words(sagemaker_twin: SagemakerTwin) -> None:
    once = Config(retries={"total_max_attempts": 1})
    expected = {
        ("sagemaker", "list_training_jobs"): ("ThrottlingException", 400),
        ("s3", "list_buckets"): ("SlowDown", 503),
        ("sts", "get_caller_identity"): ("Throttling", 400),
        ("logs", "describe_log_groups"): ("ThrottlingException", 400),
    }
    sagemaker_twin.faults.throttle(4)
    for (service, operation), answer in expected.items():
        client = boto3.client(service, config=once)
        with pytest.raises(ClientError) as error:
            getattr(client, operation)()
        assert code(error) == answer
    assert boto3.client("sts", config=once).get_caller_identity()["Account"] == "123456789012"


def test_botocore_retries_its_way_through_a_short_storm(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.throttle(2, "s3:PutObject")
    s3 = sagemaker_twin.client("s3")
    s3.put_object(Bucket=sagemaker_twin.bucket, Key="x", Body=b"y" * 100_000)
    assert len(sagemaker_twin.called("PutObject")) == 3
    assert len(read(sagemaker_twin, "x")) == 100_000


def test_any_operation_fails_with_any_error_as_often_as_asked(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.faults.fail("CreateTrainingJob", "AccessDeniedException", "not yours", times=1)
    sagemaker_twin.faults.fail("s3:HeadObject", "AccessDenied", times=None)
    sagemaker, s3 = sagemaker_twin.client("sagemaker"), sagemaker_twin.client("s3")
    with pytest.raises(ClientError, match="not yours") as error:
        sagemaker.create_training_job(**request(sagemaker_twin))
    assert code(error) == ("AccessDeniedException", 400)
    sagemaker.create_training_job(**request(sagemaker_twin, steps=1))
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            s3.head_object(Bucket=sagemaker_twin.bucket, Key="code/train.py")
        assert code(error) == ("403", 403)
    # The platform itself is not a client: the job goes on.
    assert sagemaker_twin.jobs["job"].wait().status == "Completed"
    sagemaker_twin.faults.clear()
    assert s3.head_object(Bucket=sagemaker_twin.bucket, Key="code/train.py")["ContentLength"]


def test_expired_credentials_are_refused_until_they_are_renewed(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.faults.expire_credentials()
    for service, operation, answer in (
        ("sagemaker", "list_training_jobs", ("ExpiredTokenException", 400)),
        ("s3", "list_buckets", ("ExpiredToken", 400)),
        ("sts", "get_caller_identity", ("ExpiredToken", 403)),
    ):
        with pytest.raises(ClientError) as error:
            getattr(sagemaker_twin.client(service), operation)()
        assert code(error) == answer
    sagemaker_twin.faults.clear()
    sagemaker_twin.client("sts").get_caller_identity()


@pytest.mark.parametrize("at_step", [0, 2])
def test_a_job_disappears(sagemaker_twin: SagemakerTwin, at_step: int) -> None:
    sagemaker_twin.faults.lose_job(at_step=at_step)
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=100_000, pause=0.01))
    job = sagemaker_twin.jobs["job"]
    if at_step:
        sagemaker.describe_training_job(TrainingJobName="job")
        job.wait_for(lambda job: job.step >= 2)
    with pytest.raises(ClientError, match="Requested resource not found") as error:
        sagemaker.describe_training_job(TrainingJobName="job")
    assert code(error) == ("ValidationException", 400)
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_bucket_of_someone_else_is_refused_to_those_who_ask_whose_it_is(
    sagemaker_twin: SagemakerTwin,
) -> None:
    s3, ours = sagemaker_twin.client("s3"), sagemaker_twin.account
    asked = {"Bucket": sagemaker_twin.bucket, "Key": "x", "Body": b"y"}
    s3.put_object(**asked, ExpectedBucketOwner=ours)
    with pytest.raises(ClientError) as error:
        s3.put_object(**asked, ExpectedBucketOwner="000000000000")
    assert code(error) == ("AccessDenied", 403)
    sagemaker_twin.faults.foreign_bucket(sagemaker_twin.bucket)
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket=sagemaker_twin.bucket, ExpectedBucketOwner=ours)
    assert code(error) == ("403", 403)
    with pytest.raises(ClientError) as error:
        s3.copy_object(
            Bucket=sagemaker_twin.bucket,
            Key="z",
            CopySource={"Bucket": sagemaker_twin.bucket, "Key": "x"},
            ExpectedSourceBucketOwner=ours,
        )
    assert code(error) == ("AccessDenied", 403)
    with pytest.raises(s3.exceptions.BucketAlreadyExists):
        s3.create_bucket(Bucket=sagemaker_twin.bucket)
    s3.put_object(**asked)  # nobody asked whose it is


def test_a_disabled_or_unknown_key_encrypts_nothing(sagemaker_twin: SagemakerTwin) -> None:
    s3, kms = sagemaker_twin.client("s3"), sagemaker_twin.client("kms")
    key = kms.create_key()["KeyMetadata"]
    asked = {"Bucket": sagemaker_twin.bucket, "Key": "x", "ServerSideEncryption": "aws:kms"}
    s3.put_object(**asked, SSEKMSKeyId=key["Arn"], Body=b"")
    kms.disable_key(KeyId=key["KeyId"])
    for name, problem in (
        (key["Arn"], "KMS.DisabledException"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "KMS.NotFoundException"),
    ):
        with pytest.raises(ClientError) as error:
            s3.put_object(**asked, SSEKMSKeyId=name, Body=b"")
        assert code(error) == (problem, 400)
    where = {"S3OutputPath": f"s3://{sagemaker_twin.bucket}/avatars", "KmsKeyId": key["KeyId"]}
    sagemaker_twin.client("sagemaker").create_training_job(
        **request(sagemaker_twin, OutputDataConfig=where)
    )
    reason = sagemaker_twin.jobs["job"].wait().failure_reason
    assert reason == f"ClientError: Artifact upload failed:{key['Arn']} is disabled."
