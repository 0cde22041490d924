"""What Dagster loads: everything that orchestration/ wires, for the settings of the environment."""

from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings, unknown_settings

for unknown, nearest in unknown_settings().items():
    log.warning("setting_unknown", setting=unknown, nearest=nearest)

defs = build(get_settings())
