from matrix_library import Release, newest_release


def test_the_newest_release_wins():
    releases = [Release("1.9"), Release("1.10"), Release("2.0rc1"), Release("1.11", yanked=True)]
    assert newest_release(releases) == Release("1.10")


def test_there_may_be_none():
    assert newest_release([Release("1.0a1")]) is None
