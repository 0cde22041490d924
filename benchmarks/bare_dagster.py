"""What Dagster costs by itself: a process that opens our instance and runs one asset that does nothing."""

import dagster as dg

from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
from breadthflow_pipelines.settings import get_settings


@dg.asset
def nothing() -> None:
    """Nothing."""


if __name__ == "__main__":
    job = dg.Definitions([nothing], jobs=[dg.define_asset_job("bare")]).resolve_job_def("bare")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dagster_instance(get_settings()) as instance:
        assert job.execute_in_process(instance=instance, run_config=quiet).success
