"""The catalogue: metrics, reasons, objectives, alerts and failure modes, each defined here and nowhere else."""
