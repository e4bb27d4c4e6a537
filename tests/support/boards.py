"""Files for TensorBoard, read back by its own reader."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars_of(folder):
    """The scalars in the only event file of a folder: by name the pairs of step and value."""
    (file,) = folder.glob("events.out.tfevents.*")
    found = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
