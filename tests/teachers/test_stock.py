"""What a search keeps follows from the budget, and a budget too small is one line."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Size

from kdsearch.config import StoreConfig
from kdsearch.errors import UserError
from kdsearch.students.outputs import OutputShapes
from kdsearch.teachers.stock import DEFAULT_VIEWS, Need, Stock, stock_up

MAPS = (Size((1, 4, 8, 8)), Size((1, 8, 4, 4)))
TEACHER = OutputShapes(Size((1, 100)), MAPS, Size((1, 64)), MAPS)
SAMPLES = 2**13
LOGITS = 2 * 100 * SAMPLES  # bytes of a view in half precision
POOLED = 2 * 64 * SAMPLES
FEATURES = 2 * (256 + 128) * SAMPLES
MIB = 2**20


def need(*taps: str, augment: str = "crop", epochs: int = 99) -> Need:
    return Need(frozenset(taps), augment, epochs)


def stock(*needs: Need, teachers: int = 1, samples: int = SAMPLES, **config: Any) -> Stock:
    given = StoreConfig.model_validate(config)
    return stock_up(given, needs, [TEACHER] * teachers, samples)


KD, RKD, AT = need("logits"), need("logits", "pooled"), need("logits", "features")


def test_parts_are_those_that_are_read() -> None:
    assert stock(KD).parts == ("logits",)
    assert stock(need("pooled")).parts == ("pooled",)
    assert stock(KD, RKD).parts == ("logits", "pooled")
    assert stock(KD, AT).parts == ("logits", "features")  # they fit
    assert stock(KD, need()).parts == ("logits",)  # trials without a term read nothing


def test_the_meter() -> None:
    assert stock(KD, views=3).nbytes == 3 * LOGITS
    assert stock(KD, RKD, views=3, teachers=2).nbytes == 2 * 3 * (LOGITS + POOLED)
    assert stock(KD, views=3, dtype="float32").nbytes == 2 * 3 * LOGITS
    assert stock(AT, views=2).nbytes == 2 * (LOGITS + FEATURES)
    assert stock(KD, need("logits", augment="crop_flip"), views=3).nbytes == 2 * 3 * LOGITS
    one = 5 * (2 + 2) + 2  # values and classes, and the rest
    assert stock(KD, views=1, top_k=5).nbytes == one * SAMPLES
    assert stock(KD, views=1, top_k=100).nbytes == LOGITS


def test_the_number_of_views() -> None:
    assert stock(KD).config.views == DEFAULT_VIEWS
    assert stock(KD, views=5).config.views == 5
    assert stock(need("logits", epochs=7), need("logits", epochs=3)).config.views == 7
    assert stock(KD, views="live").config.views == "live"
    assert stock(need()).config.views == "live"  # nobody asks the teacher
    room = 3.5 * LOGITS / MIB
    assert stock(KD, memory_mib=room).config.views == 3
    assert stock(KD, memory_mib=LOGITS / MIB).config.views == 1


@pytest.mark.parametrize("views", ["auto", 1, 4])
def test_a_budget_below_one_view_is_a_fault(views: Any) -> None:
    with pytest.raises(UserError) as caught:
        stock(KD, views=views, memory_mib=0.99 * LOGITS / MIB)
    line = str(caught.value)
    assert line.startswith("store.memory_mib: ") and "one view" in line and "views: live" in line
    assert f"{LOGITS / MIB:.3g} MiB" in line or f"{LOGITS / MIB:.3g};" in line
    stock(KD, views="live", memory_mib=0.01)


def test_more_views_than_fit_are_a_fault() -> None:
    with pytest.raises(UserError, match=r"store.views: 4 take .* write at most 3"):
        stock(KD, views=4, memory_mib=3.5 * LOGITS / MIB)


def test_maps_are_kept_where_they_fit() -> None:
    both = (LOGITS + FEATURES) / MIB
    fits = stock(KD, AT, views=2, memory_mib=2 * both)
    assert (fits.config.features, fits.runs_teacher) == ("always", False)
    small = stock(KD, AT, views=2, memory_mib=2 * both - 0.1)
    assert (small.parts, small.config.features) == (("logits",), "never")
    assert small.runs_teacher and "run the teacher" in str(small)
    assert stock(KD, AT, features="never").parts == ("logits",)
    with pytest.raises(UserError, match=r"one view of the teacher's features and logits"):
        stock(KD, AT, features="always", memory_mib=both / 2)
    assert stock(KD, features="always").config.features == "always"


def test_maps_alone_that_do_not_fit_leave_the_teacher_in_the_loop() -> None:
    alone = need("features")
    fresh = stock(alone, memory_mib=1)
    assert (fresh.parts, fresh.config.views) == ((), "live")
    forced = stock(alone, memory_mib=1, views=4)  # but on the views that were asked for
    assert (forced.parts, forced.config.views) == ((), 4) and "4 views" in str(forced)


def test_plain_images_have_one_view_and_their_logits_are_kept_anyway() -> None:
    plain = need("logits", augment="none")
    assert (stock(plain).augments, stock(plain).nbytes) == ((), 0)
    assert stock(plain, top_k=3).augments == ("none",)
    pooled = stock(need("pooled", augment="none"), views=4)
    assert pooled.nbytes == POOLED and pooled.views("none") == 1
    assert stock(plain, KD, views=4).nbytes == 4 * LOGITS


@pytest.mark.parametrize("config", [{}, {"memory_mib": 20}, {"memory_mib": 60}, {"top_k": 3}])
def test_deciding_again_for_one_of_the_plans_changes_nothing(config: dict[str, Any]) -> None:
    whole = stock(KD, RKD, AT, **config)
    for one in (KD, RKD, AT):
        again = stock_up(whole.config, [one], [TEACHER], SAMPLES)
        assert again.config == whole.config
        assert set(again.parts) in (one.taps, set())
        assert (not again.parts) == (one is AT and whole.runs_teacher)


@pytest.mark.parametrize("config", [{}, {"views": "live"}, {"top_k": 3, "views": 2}])
def test_what_is_decided_is_one_line(config: dict[str, Any]) -> None:
    line = str(stock(KD, AT, **config))
    assert line.startswith("store: ") and "\n" not in line
