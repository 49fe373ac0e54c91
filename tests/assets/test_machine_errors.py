"""What is said of a disk: the file, the system's words, the way out."""

import errno
import resource
import shutil

import pytest

from din_assets.runs.machine_errors import is_of_the_machine, of_the_disk


def test_folder_whose_copy_finds_no_room_is_told_as_a_file_is(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "large").write_bytes(b"-" * 2000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a quota, or a full disk
    try:
        with pytest.raises(shutil.Error) as caught:
            shutil.copytree(tmp_path / "from", tmp_path / "to")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert is_of_the_machine(caught.value)
    said = of_the_disk(caught.value)
    assert said.startswith(f"{tmp_path / 'to' / 'large'}: File too large; results go to")


@pytest.mark.parametrize(
    ("error", "is_its"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "file"), True),
        (OSError(errno.ENAMETOOLONG, "File name too long", "file"), True),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "file"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "file"), False),
        (shutil.Error("Destination path 'a' already exists"), False),
        (shutil.Error([("a", "b", "[Errno 2] No such file or directory: 'a'")]), False),
        (shutil.Error([("a", "b", "`a` is a named pipe")]), False),
    ],
)
def test_only_what_the_disk_refuses_is_of_the_machine(error, is_its):
    assert is_of_the_machine(error) is is_its
