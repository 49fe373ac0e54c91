"""TensorBoard reads the event files, and finds in them what torch's writer would have written."""

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from din_core.training.event_files import EventFile

FIGURES = {"train_loss": 0.6932, "val_auc": 0.4375}


def events(folder):
    """What TensorBoard reads; it stops at a record whose checksums are wrong."""
    [file] = folder.iterdir()
    read = [*LegacyEventFileLoader(str(file)).Load()]
    for event in read:
        assert event.wall_time > 1.7e9
        event.ClearField("wall_time")
        event.ClearField("source_metadata")
    return read


def test_records_are_those_of_torchs_writer(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    torchs = SummaryWriter(str(tmp_path / "torch"))
    with EventFile(tmp_path / "ours") as ours:
        for epoch in (1, 2):
            ours.write(FIGURES, epoch)
            for tag, value in FIGURES.items():
                torchs.add_scalar(tag, value, epoch)
    torchs.close()
    assert events(tmp_path / "ours") == events(tmp_path / "torch")
    assert len(events(tmp_path / "ours")) == 5


def test_what_is_written_can_be_read_before_the_end(tmp_path):
    with EventFile(tmp_path) as file:
        file.write(FIGURES, 1)
        assert [event.step for event in events(tmp_path)] == [0, 1, 1]


def test_two_files_begun_at_once_are_two(tmp_path):
    with EventFile(tmp_path), EventFile(tmp_path):
        assert len(list(tmp_path.iterdir())) == 2
