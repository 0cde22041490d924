"""What keeps Dagster running on one machine: `breadthflow up`, its processes, and what becomes of runs that died.

Nothing here is imported by assets. What `up` itself needs imports no Dagster, so that its processes start at once.
"""
