import errno
import os

import pytest
import torch

from benchmark.errors import near
from benchmark.files import Stems, remove_leftovers, replacing
from benchmark.memory import keep_freed_memory
from benchmark.seeds import derived_seed, generator


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(OSError, match="No space"), replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_files_get_ordinary_permissions(tmp_path):
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("x")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


def test_leftovers_of_killed_writers_go_and_those_of_living_ones_stay(tmp_path):
    left = tmp_path / "deep" / ".file.abcdefgh.part"
    with replacing(tmp_path / "deep" / "file") as living:
        left.touch()
        for path in (left, living):
            os.utime(path, (0, 0))
        (tmp_path / ".hidden").touch()
        remove_leftovers(tmp_path)
        assert not left.exists() and living.exists()
        left.touch()
        remove_leftovers(tmp_path)
        assert left.exists()
        remove_leftovers(tmp_path, of_all=True)
        assert not left.exists() and living.exists()
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".hidden", "deep", "file"]


def test_no_two_names_share_a_file():
    stems = Stems()
    things = [("a b",), ("a-b",), ("A-B",), ("a_b", "c"), ("a", "b_c"), ("a/b",), ("a\nb",)]
    names = [stems(*words) for words in things]
    assert names[0] == "a-b" and names[3] == "a_b_c"
    assert len({name.casefold() for name in names}) == len(things)
    assert [stems(*words) for words in things] == names
    assert all(name == name.replace("/", "").replace("\n", "") for name in names)


def test_seeds_depend_on_every_name_and_never_change():
    assert derived_seed(0, "donors", 17) == 7945894278889098243
    seeds = {derived_seed(s, n, i) for s in (0, 1) for n in ("a", "b") for i in range(5)}
    assert len(seeds) == 20
    assert derived_seed(0, "ab") != derived_seed(0, "a", "b")
    assert torch.equal(torch.rand(3, generator=generator(1)), torch.rand(3, generator=generator(1)))


def test_near_names():
    assert near("zer", ["zero", "mean"]) == ", did you mean 'zero'?"
    assert near("xyz", ["zero", "mean"]) == ""


def test_memory_is_kept_where_the_c_library_is_glibc():
    import platform

    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
