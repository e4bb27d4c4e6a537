"""Temperature scaling, calibration error and reliability diagrams."""

from htnet.evaluation.calibration import (
    BINS,
    SMALLEST,
    TEMPERATURES,
    Reliability,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    left_out_temperatures,
    log_loss,
    reliability,
)

__all__ = [
    "BINS",
    "SMALLEST",
    "TEMPERATURES",
    "Reliability",
    "apply_temperature",
    "expected_calibration_error",
    "fit_temperature",
    "left_out_temperatures",
    "log_loss",
    "reliability",
]
