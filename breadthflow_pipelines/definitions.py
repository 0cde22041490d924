"""What Dagster loads: everything that orchestration/ wires, for the settings of the environment."""

from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings

defs = build(get_settings())
