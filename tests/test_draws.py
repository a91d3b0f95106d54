"""Random numbers: those of a seed, whoever else draws, and nobody else's are disturbed."""

import inspect
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

import skssl
from skssl import SCARF, MaskedTable
from skssl._data import _draws
from skssl._data._draws import Draws, _lend, _with_generator, may_draw, rand, random_source
from skssl.encoders import MLP

X = load_iris().data
CHEAP = {"n_components": 8, "batch_size": 50, "precision": "float32", "max_epochs": 2}
ROWS = torch.ones(4, 3, 8)
IMAGES = torch.ones(4, 3, 8, 8)
CLIPS = torch.arange(1.0, 1025.0).view(2, 1, 8, 8, 8)
WHOLE = torch.ones(4, 5, dtype=torch.int64)
SEQUENCES = nn.utils.rnn.pack_padded_sequence(ROWS, [3, 2, 2, 1], batch_first=True)


def layers():
    """Return nets with dropout inside, the same at each call."""
    with Draws(0).here(everywhere=True):
        return {
            "LSTM": nn.LSTM(8, 8, 2, dropout=0.5, batch_first=True),
            "GRU": nn.GRU(8, 8, 2, dropout=0.5, batch_first=True),
            "RNN": nn.RNN(8, 8, 2, dropout=0.5, batch_first=True),
            "relu": nn.RNN(8, 8, 2, dropout=0.5, batch_first=True, nonlinearity="relu"),
            "attention": nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True),
            "block": nn.TransformerEncoderLayer(8, 2, batch_first=True),
            "both": nn.Transformer(8, 2, 1, 1, batch_first=True),
        }


NETS = layers()


# What users write: each is called twice, and every call has to draw what it does after manual_seed.
CALLS = {
    "rand": lambda: torch.rand(3),
    "rand of float64": lambda: torch.rand(2, 3, dtype=torch.float64),
    "randn": lambda: torch.randn(3, 2),
    "randint": lambda: torch.randint(9, (4,)),
    "randint from": lambda: torch.randint(3, 9, (4,)),
    "randperm": lambda: torch.randperm(9),
    "normal": lambda: torch.normal(ROWS, 1.0),
    "normal of numbers": lambda: torch.normal(0.0, 1.0, (3,)),
    "bernoulli": lambda: torch.bernoulli(ROWS / 2),
    "a tensor's bernoulli": lambda: (ROWS / 2).bernoulli(),
    "multinomial": lambda: torch.multinomial(ROWS[0], 2),
    "a tensor's multinomial": lambda: ROWS[0].multinomial(2),
    "poisson": lambda: torch.poisson(ROWS),
    "binomial": lambda: torch.binomial(ROWS * 5, ROWS / 2),
    "gamma": lambda: torch.distributions.Gamma(2.0, 1.0).sample((3,)),
    "dirichlet": lambda: torch.distributions.Dirichlet(torch.ones(3)).sample(),
    "categorical": lambda: torch.distributions.Categorical(ROWS[0]).sample(),
    "bernoulli_": lambda: ROWS.clone().bernoulli_(0.3),
    "cauchy_": lambda: ROWS.clone().cauchy_(),
    "exponential_": lambda: ROWS.clone().exponential_(),
    "geometric_": lambda: ROWS.clone().geometric_(0.3),
    "log_normal_": lambda: ROWS.clone().log_normal_(),
    "normal_": lambda: ROWS.clone().normal_(),
    "uniform_": lambda: ROWS.clone().uniform_(2, 3),
    "random_": lambda: WHOLE.clone().random_(3, 9),
    "rand_like": lambda: torch.rand_like(ROWS.transpose(0, 2)),
    "rand_like of float64": lambda: torch.rand_like(WHOLE, dtype=torch.float64),
    "randn_like": lambda: torch.randn_like(input=ROWS),
    "randint_like": lambda: torch.randint_like(WHOLE, 7),
    "randint_like from": lambda: torch.randint_like(ROWS, 3, high=9),
    "Linear": lambda: nn.Linear(3, 4).weight.detach(),
    "Conv2d": lambda: nn.Conv2d(3, 4, 3).weight.detach(),
    "Embedding": lambda: nn.Embedding(3, 4).weight.detach(),
    "orthogonal_": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "trunc_normal_": lambda: nn.init.trunc_normal_(torch.empty(4, 4)),
    "xavier_normal_": lambda: nn.init.xavier_normal_(torch.empty(4, 4)),
    "xavier_uniform_": lambda: nn.init.xavier_uniform_(torch.empty(4, 4)),
    "kaiming_normal_": lambda: nn.init.kaiming_normal_(torch.empty(4, 4)),
    "sparse_": lambda: nn.init.sparse_(torch.empty(9, 4), 0.3),
    "dropout": lambda: nn.Dropout(0.2)(ROWS),
    "dropout in place": lambda: F.dropout(ROWS.clone(), 0.3, inplace=True),
    "dropout of another layout": lambda: F.dropout(ROWS.transpose(0, 2)),
    "dropout of everything": lambda: F.dropout(ROWS, 1.0),
    "dropout1d": lambda: nn.Dropout1d()(ROWS),
    "dropout1d of a row": lambda: F.dropout1d(ROWS[0]),
    "dropout2d": lambda: F.dropout2d(IMAGES, 0.3),
    "dropout2d in place": lambda: F.dropout2d(IMAGES.clone(), 0.3, inplace=True),
    "dropout3d": lambda: F.dropout3d(CLIPS.expand(2, 3, 8, 8, 8)),
    "dropout3d of a clip": lambda: F.dropout3d(CLIPS[0]),
    "alpha_dropout": lambda: nn.AlphaDropout()(ROWS),
    "feature_alpha_dropout": lambda: F.feature_alpha_dropout(ROWS, training=True),
    "rrelu": lambda: nn.RReLU()(-ROWS),
    "gumbel_softmax": lambda: F.gumbel_softmax(ROWS),
    "fractional pooling": lambda: F.fractional_max_pool2d(CLIPS[0], 2, output_size=4),
    "fractional pooling of clips": lambda: F.fractional_max_pool3d(CLIPS, 2, output_size=4),
    "torch.dropout": lambda: torch.dropout(ROWS, 0.5, True),
    "torch.dropout_": lambda: torch.dropout_(ROWS.clone(), 0.5, True),
    "torch.feature_dropout": lambda: torch.feature_dropout(ROWS, 0.5, True),
    "native_dropout": lambda: torch.native_dropout(ROWS, 0.5, True)[0],
    "native_dropout of nothing": lambda: torch.native_dropout(ROWS, 0.0, True)[0],
    "attention of tensors": lambda: F.scaled_dot_product_attention(ROWS, ROWS, ROWS, None, 0.3),
    "attention without dropout": lambda: F.scaled_dot_product_attention(IMAGES, IMAGES, IMAGES),
    "LSTM": lambda: NETS["LSTM"](ROWS)[0].detach(),
    "GRU": lambda: NETS["GRU"](ROWS)[0].detach(),
    "RNN": lambda: NETS["RNN"](ROWS)[0].detach(),
    "RNN of relu": lambda: NETS["relu"](ROWS)[0].detach(),
    "packed": lambda: NETS["GRU"](SEQUENCES)[0].data.detach(),
    "attention": lambda: NETS["attention"](ROWS, ROWS, ROWS)[0].detach(),
    "transformer": lambda: NETS["block"](ROWS).detach(),
    "both transformers": lambda: NETS["both"](ROWS, ROWS).detach(),
    "DataLoader": lambda: torch.stack(list(torch.utils.data.DataLoader(WHOLE, None, True))),
}


@pytest.mark.parametrize("name", CALLS)
def test_torch_draws_what_it_does_after_manual_seed(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = [CALLS[name](), CALLS[name]()]
    before = torch.get_rng_state()
    with Draws(3).here(everywhere=True):
        found = [CALLS[name](), CALLS[name]()]
    assert all(map(torch.equal, found, expected))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_generator_is_lent_to_one_operator_only_on_cpus(monkeypatch):
    """Whoever draws from it or seeds it in between spoils the draws of the fit, and the reverse."""
    asked = []
    monkeypatch.setattr(_draws, "_lend", lambda own: asked.append(own) or _lend(own))
    lent = set()
    for name, call in CALLS.items():
        with Draws(3).here(everywhere=True):
            call()
        if asked:
            lent.add(name)
            asked.clear()
    assert lent == {"native_dropout", "native_dropout of nothing"}  # dropout calls it on a GPU


# Kernels that torch marks as drawing and that know no generator but the global one, which is lent.
# The first lines are of what has been taken apart before it arrives there.
LENT = {"alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout", "gru", "lstm"} | {
    "rnn_relu",
    "rnn_tanh",
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "native_dropout",  # of dense tensors on a GPU
    "_cudnn_attention_backward",
    "_cudnn_attention_forward",
    "_cudnn_init_dropout_state",
    "_fill_mem_eff_dropout_mask",
    "_fused_sdp_choice",  # which draws nothing
    "_lstm_mps",
    "_nested_tensor_softmax_with_shape",
    "_triton_scaled_dot_attention",
    "_cudnn_rnn",
    "miopen_rnn",
    "_efficient_attention_forward",
    "_flash_attention_forward",
    "_flash_attention_forward_no_dropout_inplace",
    "_scaled_dot_product_attention_math_for_mps",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_cudnn_attention_backward",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_efficient_attention_backward",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",  # which has no dropout
    "_scaled_dot_product_fused_attention_overrideable",
}


def test_operators_that_take_no_generator_are_known():
    drawing = set()
    schemas = {schema.name for schema in torch._C._jit_get_all_schemas()}
    names = {name.removeprefix("aten::") for name in schemas if name.startswith("aten::")}
    for name in names:
        packet = getattr(torch.ops.aten, name)
        several = {o: getattr(packet, o) for o in getattr(packet, "overloads", list)()}
        marked = any(torch.Tag.nondeterministic_seeded in op.tags for op in several.values())
        if marked and not any(map(_with_generator, several.values())):
            drawing.add(name.rstrip("_"))
    assert drawing and drawing <= LENT | {"rand_like", "randn_like", "randint_like"}


def test_generators_go_on_stop_and_are_copied():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with Draws(1).here(everywhere=True):
        inside = torch.rand(3)
        with Draws(2).here(everywhere=True):  # as held-out losses do
            torch.rand(7)
        rest = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    draws = Draws(1)
    with draws.here(everywhere=True):
        assert torch.equal(torch.rand(3), inside)
        with draws.apart().here(everywhere=True):
            assert torch.equal(torch.rand(3), rest)
        with pytest.raises(KeyError), draws.here(everywhere=True):
            raise KeyError
        state = draws.states()
        assert torch.equal(torch.rand(3), rest)
        draws.restore(state)
        assert torch.equal(torch.rand(3), rest)
        own = torch.Generator().manual_seed(5)
        assert torch.equal(torch.rand(3, generator=own), expected)


def test_the_package_draws_from_its_source():
    """Without the mode of torch's dispatcher, which costs time in every step."""
    assert random_source() is None
    torch.manual_seed(1)
    expected = rand(3)
    draws = Draws(1)
    with draws.here():
        assert random_source() is draws.cpu
        assert torch.equal(rand(3), expected)
        with Draws(2).here():
            rand(3)
        before = draws.cpu.get_state()
        torch.rand(3)  # of the user
        assert torch.equal(draws.cpu.get_state(), before)
    assert random_source() is None
    with Draws(1, for_others=True).here():
        assert torch.equal(torch.rand(3), expected)


class Own(nn.Linear):
    """A user's module, which may do anything."""


def hooked(register, *hook):
    module = nn.Linear(4, 8)
    getattr(module, register)(*hook or [lambda *seen: None])
    return module


def replaced():
    module = nn.Linear(4, 8)
    module.forward = lambda x: torch.randn(len(x), 8)
    return module


QUIET = {
    "linear": nn.Linear(4, 8),
    "layers": nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.BatchNorm1d(8), nn.ReLU())),
    "the package's": MLP(4, 16, 16, 8),
    "images": nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1)),
}
LOUD = {
    "dropout": nn.Dropout(0.1),
    "dropout inside": nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Dropout(0.1))),
    "a user's": nn.Sequential(Own(4, 8)),
    "attention": NETS["block"],
    "LSTM": NETS["LSTM"],
    "before": hooked("register_forward_pre_hook"),
    "after": hooked("register_forward_hook"),
    "gradients": hooked("register_full_backward_hook"),
    "their gradients": hooked("register_full_backward_pre_hook"),
    "replaced": replaced(),
    "parametrized": nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)),
}


@pytest.mark.parametrize("name", [*QUIET, *LOUD])
def test_modules_that_may_draw_are_known(name):
    assert may_draw({**QUIET, **LOUD}[name]) == (name in LOUD)


@pytest.mark.parametrize("cls", sorted(_draws.QUIET, key=lambda cls: cls.__name__))
def test_quiet_modules_draw_nothing(cls):
    code = inspect.getsource(cls.forward)
    assert not re.search(r"rand|dropout|bernoulli|multinomial", code)
    assert "training" not in code or "BatchNorm" in cls.__mro__[1].__name__


@pytest.mark.parametrize("name", ["layers", "dropout inside"])
def test_the_mode_of_the_dispatcher_is_there_for_modules_that_may_draw(name, monkeypatch):
    """For others it costs time in every step, and numbers are the same without it."""
    seen, dispatch = set(), _draws._Everywhere.__torch_dispatch__

    def noted(mode, func, *given):
        seen.add(func)
        return dispatch(mode, func, *given)

    monkeypatch.setattr(_draws._Everywhere, "__torch_dispatch__", noted)
    step = torch.ops.aten.nll_loss_backward.default
    method = SCARF(encoder={**QUIET, **LOUD}[name], **CHEAP, random_state=0)
    found = clone(method).fit(X)
    assert (step in seen) == (name in LOUD)
    monkeypatch.setattr(skssl.base._transformer, "may_draw", lambda module: True)
    always = clone(method).fit(X)
    assert step in seen
    assert always.loss_curve_ == found.loss_curve_
    assert np.array_equal(always.transform(X), found.transform(X))


def test_only_one_file_touches_global_generators():
    """So a global generator that a fit leaves as it was has not been drawn from."""
    words = r"fork_rng|set_rng_state|default_generator|torch\.seed|torch\.manual_seed|initial_seed"
    root = Path(skssl.__file__).parent
    code = {path: re.sub(r">>>.*", "", path.read_text()) for path in root.rglob("*.py")}
    found = {path.name for path, text in code.items() if re.search(words, text)}
    assert found == {"_draws.py"}


class Noisy(nn.Module):
    """An encoder that draws in many ways."""

    def __init__(self):
        super().__init__()
        self.first, self.block = nn.Linear(4, 8), nn.TransformerEncoderLayer(8, 2, 8, 0.2)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        z = self.block(self.drop(self.first(x))[None])[0]
        return z + 0.1 * torch.randn_like(z) if self.training else z


@pytest.fixture
def noise():
    """A thread that draws from torch's generator, and seeds it, all the time."""
    over, n_draws = threading.Event(), [0]

    def draw():
        while not over.is_set():
            torch.manual_seed(n_draws[0])
            torch.rand(7), torch.randn(9)
            n_draws[0] += 1

    with torch.random.fork_rng(devices=[]):
        thread = threading.Thread(target=draw)
        thread.start()
        yield n_draws
        over.set()
        thread.join()
    assert n_draws[0] > 10


def noisy():
    with Draws(0).here(everywhere=True):
        return Noisy()


@pytest.mark.parametrize(
    "method",
    [SCARF(), SCARF(encoder=noisy()), MaskedTable()],
    ids=["SCARF", "a module", "MaskedTable"],
)
def test_a_seeded_fit_beside_a_thread_that_draws(method, request):
    method = clone(method).set_params(**CHEAP, random_state=0)
    alone = clone(method).fit(X)
    request.getfixturevalue("noise")
    beside = clone(method).fit(X)
    assert beside.loss_curve_ == alone.loss_curve_
    assert np.array_equal(beside.transform(X), alone.transform(X))


def test_the_user_s_seeded_draws_beside_a_fit():
    over = threading.Event()

    def fit():
        while not over.is_set():
            SCARF(**CHEAP, random_state=0).fit(X)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = [torch.rand(5) for _ in range(400)]
        thread = threading.Thread(target=fit)
        torch.manual_seed(0)
        thread.start()
        found = []
        for _ in range(400):
            found.append(torch.rand(5))
            over.wait(0.001)
        over.set()
        thread.join()
    assert all(map(torch.equal, found, expected))


FORK = """
import os, sys, threading, warnings
import torch
from sklearn.datasets import load_iris
from skssl import SCARF

warnings.simplefilter("ignore")  # that threads run
torch.set_num_threads(1)  # OpenMP hangs in a fork of a process in which it had several
torch.set_default_dtype(torch.float64)
X = load_iris().data
fit = lambda: SCARF(n_components=8, max_epochs=1, random_state=0).fit(X)
fit()  # a fork while a thread imports modules hangs in Python itself
over = threading.Event()
def forever():
    while not over.is_set():
        fit()
thread = threading.Thread(target=forever, daemon=True)
thread.start()
codes = []
for _ in range(4):
    over.wait(0.02)
    pid = os.fork()
    if not pid:
        is_users = torch.get_default_dtype() is torch.float64
        fit()
        os._exit(0 if is_users else 1)
    codes.append(os.waitpid(pid, 0)[1])
over.set()
thread.join()
sys.exit(any(codes) or torch.get_default_dtype() is not torch.float64)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_fork_while_other_threads_fit():
    """Its child has no lock that a thread of its parent held, and the user's default dtype."""
    ran = subprocess.run([sys.executable, "-c", FORK], timeout=120, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_rows_held_out_dealt_and_drawn_by_weight_leave_global_generators_alone():
    given = {"sample_weight": np.linspace(0.1, 1.5, 150), "groups": np.arange(150) % 60}
    before = torch.get_rng_state()
    SCARF(**CHEAP, random_state=0, n_iter_no_change=1).fit(X, **given)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow  # seconds of a compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own
def test_modules_of_the_user_are_compiled_and_draw_by_the_seed():
    module = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Linear(16, 8))
    params = {**CHEAP, "encoder": module, "compile": True, "random_state": 0}
    before, losses = torch.get_rng_state(), []
    for _ in range(2):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        losses.append(SCARF(**params).fit(X).loss_curve_)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert losses[0] == losses[1]
    assert torch.equal(torch.get_rng_state(), before)
