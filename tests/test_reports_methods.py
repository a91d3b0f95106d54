"""What users who knew the papers ran into: the right value of each.

====== =================================== ========================================================
number kind                                cousins
====== =================================== ========================================================
17     a loss that is not its authors'     EMP-SSL and MMCR against the numbers of their authors'
                                           code, as functions and as methods; views of several
                                           numbers and shapes, on one rank and on two
====== =================================== ========================================================
"""

import pytest
import torch

from skssl import EMPSSL, MMCR, MultiTask, SimCLR
from skssl.losses import emp_ssl, mmcr, total_coding_rate
from skssl.views import Views, original

CHEAP = {"n_components": 8, "max_epochs": 1, "batch_size": 16, "precision": "float32"}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ---------------------------------------------------------------- 17: EMP-SSL and MMCR

# What the authors' code (tsb0601/EMP-SSL, ThomasYerxa/mmcr) returns for three views that are drawn
# with the seeds 0 to 2: the coding rate of the first view, EMP-SSL's loss, MMCR's loss.
AUTHORS = {
    (7, 3): (2.4844584698428145, -114.20720503958471, -2.554420536612704),
    (3, 7): (3.77239375084137, -112.54260481305724, -1.528379286584139),
    (15, 8): (6.4941927757536995, -114.54399568014993, -5.772684866828131),
}


@pytest.mark.parametrize("shape", AUTHORS)
def test_losses_are_those_of_the_authors_code(shape):
    views = [draw(*shape, seed=seed) for seed in range(3)]
    values = total_coding_rate(views[0]), emp_ssl(views), mmcr(views)
    assert [value.item() for value in values] == pytest.approx(AUTHORS[shape], rel=1e-12)


@pytest.mark.parametrize("cls", [EMPSSL, MMCR])
def test_their_methods_have_the_paper_s_number_of_views_and_take_any_list_of_two(cls):
    X, n_views = draw(40, 3).numpy(), {EMPSSL: 8, MMCR: 4}[cls]
    x = torch.zeros(4, 3)
    assert len(cls(**CHEAP).fit(X).views_(x)) == n_views
    assert len(cls(views=original, **CHEAP).fit(X).views_(x)) == n_views
    for views in (
        cls(**CHEAP),
        MultiTask([("it", cls(), 1.0), ("simclr", SimCLR(), 1.0)], **CHEAP),
    ):
        views.set_params(views=Views((original, torch.neg))).fit(X)
        assert len(views.views_(x)) == 2
        with pytest.raises(ValueError, match="compares 2 views, but views= returned 1"):
            views.set_params(views=Views((original,))).fit(X)
