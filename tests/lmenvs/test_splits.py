import pytest

from lmenvs.splits import check_split, select, split_of

WORDS = [f"item {number}" for number in range(4000)]


def test_train_and_test_are_disjoint_and_together_everything():
    train, test = select(WORDS, "train"), select(WORDS, "test")
    assert not set(train) & set(test)
    assert sorted(train + test) == sorted(select(WORDS, "all")) == sorted(WORDS)


def test_the_halves_are_halves():
    # 4000 fair coins: six standard deviations are 190
    assert abs(len(select(WORDS, "train")) - 2000) < 190


def test_an_item_stays_where_it_is_when_the_list_changes():
    assert set(select(WORDS[:100], "test")) == set(select(WORDS, "test")) & set(WORDS[:100])


def test_text_and_its_bytes_fall_on_the_same_side():
    assert all(split_of(word) == split_of(word.encode()) for word in ("crane", "naïve", "日本"))


def test_the_partition_is_the_published_one():
    # a change here would move items between everyone's train and test sets
    assert [split_of(word) for word in ("crane", "stone", "grape", "train", "adore")] == [
        "train",
        "test",
        "test",
        "train",
        "test",
    ]


def test_lone_surrogates_have_a_side_too():
    assert split_of("\ud800") in ("train", "test")


def test_an_unknown_split_is_refused_in_one_line():
    with pytest.raises(ValueError, match="'validation'; expected 'all', 'train' or 'test'"):
        check_split("validation")
