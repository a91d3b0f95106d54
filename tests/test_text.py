"""Texts and tokens: the tokenizer, what is read, how it is altered and encoded, what is learnt."""

import functools
import importlib
import inspect
import math
import pickle
import re
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from skssl import MaskedLanguageModel, NextToken, PretrainedClassifier, TextContrast, TextTokenizer
from skssl._data import TextReader, TokenReader, Words
from skssl._data._vocabulary import MASK, N_SPECIAL, PAD, UNKNOWN
from skssl._meta._raw_columns import RawTokens, RawWords
from skssl.encoders import BagOfTokens, TokenTransformer
from skssl.encoders._tokens import rotate_positions, trim
from skssl.encoders._transformer import attend
from skssl.losses import nt_xent
from skssl.views import drop_tokens, mask_tokens, random_chunk

CHEAP = {"n_components": 16, "max_epochs": 1, "precision": "float32", "random_state": 0}
METHODS = [MaskedLanguageModel(**CHEAP), NextToken(**CHEAP), TextContrast(**CHEAP)]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
STRANGE = [
    "The Cat (a tabby) sat; didn't it?",
    "  tabs\tand\nlines  ",
    "supercalifragilistic naïve Straße",
    "日本語の文 and Ελλάδα ☃🎉",
    "a_b 3.14 x86 ## ##ing [PAD]",
    "",
    None,
    float("nan"),
]


@functools.cache
def docstrings():
    """The beginnings of docstrings of classes and functions, and the package of each."""
    texts, labels = [], []
    for name in ("numpy", "pandas", "sklearn.linear_model", "sklearn.metrics", "torch.nn"):
        module = importlib.import_module(name)
        members = [getattr(module, n) for n in sorted(dir(module)) if n[0] != "_"]
        docs = [inspect.getdoc(m) or "" for m in members if callable(m)]
        docs = list(dict.fromkeys(doc for doc in docs if len(doc) > 300))[:120]
        texts += docs
        labels += [name] * len(docs)
    rng = np.random.default_rng(0)
    order, lengths = rng.permutation(len(texts)), rng.integers(80, 600, len(texts))
    return [texts[i][:n] for i, n in zip(order, lengths, strict=True)], np.array(labels)[order]


@functools.cache
def tokens(max_length=64):
    """The docstrings as token ids of a small vocabulary, (n, max_length)."""
    return TextTokenizer(vocab_size=1500, max_length=max_length).fit_transform(docstrings()[0])


def seeded(function, *args, seed=0, **kwargs):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*args, **kwargs)


def without_spaces(text):
    return re.sub(r"\s", "", text or "") if isinstance(text, str) else ""


# ---- tokenizer -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["words", "bpe"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_texts_come_back(algorithm, lowercase):
    tokenizer = TextTokenizer(400, algorithm=algorithm, lowercase=lowercase)
    seen = tokenizer.fit(docstrings()[0][:50])  # most of what is strange was not there
    assert seen.transform(STRANGE).max() < 400
    for text, back in zip(STRANGE, seen.inverse_transform(seen.transform(STRANGE)), strict=True):
        expected = without_spaces(text)
        assert without_spaces(back) == (expected.lower() if lowercase else expected)


def test_words_and_marks_stand_as_in_print():
    texts = ["Well (so far): it's 5 o'clock, isn't it? Yes!"] * 2
    tokenizer = TextTokenizer(lowercase=False).fit(texts)
    assert tokenizer.inverse_transform(tokenizer.transform(texts)) == texts
    assert tokenizer.transform(texts)[0].astype(bool).sum() == 21  # each word is one token


def test_rare_words_are_spelt_in_pieces():
    words = ["walking", "talking", "baking"] * 30 + ["king", "walk"] * 30
    tokenizer = TextTokenizer(300).fit([" ".join(words)])
    assert "walking" in tokenizer.vocabulary_ and "##k" in tokenizer.vocabulary_
    ids = tokenizer.transform(["walkin"])[0]
    pieces = [tokenizer.vocabulary_[i - 257] for i in ids[ids > 0]]
    assert pieces[0] == "walk" and pieces[1:] == ["##i", "##n"]


def test_frequent_words_have_an_id_of_their_own():
    texts = docstrings()[0]
    words = Words(2000, lowercase=True).fit(texts)
    assert len(words.pieces) == len(set(words.pieces)) <= 2000 - 257
    found = re.findall(r"\w+|[^\w\s]", " ".join(texts).lower())
    assert np.mean([len(ids) == 1 for ids in words.encode(found[:5000])]) > 0.8
    again = Words(2000, lowercase=True).fit(texts[::-1])
    assert again.pieces == words.pieces


def test_shape_padding_and_cutting():
    texts = ["one two three", None, "", "one two"]
    for container in (texts, np.array(texts, dtype=object), pd.Series(texts), pl.Series(texts)):
        X = TextTokenizer(max_length=2).fit(texts).transform(container)
        assert X.shape == (4, 2) and X.dtype == np.int64
        assert ((X > 0).sum(1) == [2, 0, 0, 2]).all()
    tokenizer = TextTokenizer(max_length=2).set_output(transform="pandas").fit(texts)
    assert list(tokenizer.transform(texts).columns) == ["texttokenizer0", "texttokenizer1"]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", ValueError, "a single str"),
        ([["a", "b"], ["c", "d"]], ValueError, r"an array of shape \(2, 2\)"),
        (["a", 3], TypeError, "got int in row 1"),
        ([b"a"], TypeError, "got bytes in row 0"),
    ],
)
def test_what_is_no_text_is_said(X, error, message):
    with pytest.raises(error, match=message):
        TextTokenizer().fit(X)
    with pytest.raises(error, match=message):
        TextReader().fit(X)


def test_byte_pairs_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install skssl\[text\]"):
        TextTokenizer(algorithm="bpe").fit(["a"])
    with pytest.raises(ValueError, match="vocab_size"):
        TextTokenizer(vocab_size=100).fit(["a"])


# ---- readers -------------------------------------------------------------------------------


def test_tokens_count_from_three():
    X = np.array([[7, 50, 7, 0], [900, 0, 0, 0], [0, 0, 0, 0]])
    reader = TokenReader().fit(X)
    x = reader.read(X)
    assert x.dtype == torch.int64 and x.tolist() == [[3, 4, 3, 0], [5, 0, 0, 0], [0, 0, 0, 0]]
    assert np.array_equal(reader.restore(x), X)
    assert reader.read(np.array([[8, 50, 1000]], dtype=np.uint16)).tolist() == [[UNKNOWN, 4, 1]]
    assert reader.columns.size == 6 and reader.columns.n_documents == 3
    assert reader.columns.document_frequency.tolist() == [0, 0, 0, 1, 1, 1]
    assert TokenReader(pad_token=None).fit(X).columns.size == 7
    assert TokenReader(pad_token=7).fit(X).read(X[1:2]).tolist() == [[5, 3, 3, 3]]
    joined = TokenReader.join(x, torch.ones(2, 6, dtype=torch.long))
    assert joined.shape == (5, 6) and (joined[:3, 4:] == 0).all()


def test_padding_goes_to_the_end():
    X = np.array([[0, 0, 5, 6], [5, 0, 6, 0], [5, 6, 6, 6]])
    x = TokenReader().fit(X).read(X)
    assert x.tolist() == [[3, 4, 0, 0], [3, 4, 0, 0], [3, 4, 4, 4]]


def test_idf_is_that_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = np.random.default_rng(0).integers(0, 2, (20, 5))
    X = np.where(counts, np.arange(1, 6), 0)
    idf = TokenReader().fit(X).columns.idf
    expected = TfidfTransformer().fit(counts).idf_
    np.testing.assert_allclose(idf[3:], expected, rtol=1e-6)
    assert (idf[:3] == 0).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0, 2.0]]), "got float64 of shape"),
        (np.array([[1, -2]]), "must not be negative; got -2"),
        (np.zeros((3, 0), dtype=int), r"shape \(3, 0\)"),
        (np.zeros((3, 4), dtype=int), "nothing but padding"),
    ],
)
def test_what_is_no_token_is_said(X, message):
    with pytest.raises(ValueError, match=message):
        TokenReader().fit(X)


class Letters(BaseEstimator):
    """Somebody else's tokenizer."""

    def fit(self, X):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.array([[ord(c) for c in text[:9].ljust(9, "\0")] for text in X])

    def inverse_transform(self, X):
        return ["".join(map(chr, row)).strip("\0") for row in X.tolist()]


def test_texts_are_read_by_any_tokenizer():
    own = Letters()
    reader = TextReader(own).fit(["abc", "cab"], ["d"])
    assert not hasattr(own, "fitted_")
    assert reader.read(["dab"])[0, :4].tolist() == [6, 3, 4, 0]
    assert reader.restore(reader.read(["dab", ""])) == ["dab", ""]
    masked = reader.read_masked(["a[MASK]c", "[MASK][MASK]"])
    assert masked.tolist() == [[3, MASK, 5], [MASK, MASK, 0]]
    texts = docstrings()[0][:30]
    by_default = TextReader().fit(texts).read(texts)
    assert torch.equal(TextReader(TextTokenizer()).fit(texts).read(texts), by_default)


# ---- views ---------------------------------------------------------------------------------


def batch(n=200, length=20, seed=0):
    """Rows 3, 4, 5 ... of 0 to ``length`` tokens."""
    size = torch.randint(0, length + 1, (n,), generator=torch.Generator().manual_seed(seed))
    step = torch.arange(length)
    return torch.where(step < size[:, None], step + 3, PAD), size


def test_chunks_are_runs_of_the_row():
    x, size = batch()
    view = seeded(random_chunk, x, 0.25, 0.75)
    starts = set()
    for row, n in zip(view.tolist(), size.tolist(), strict=True):
        run = [t for t in row if t]
        assert row[: len(run)] == run and run == list(
            range(run[0], run[0] + len(run)) if run else []
        )
        low, high = (max(1, round(share * n)) if n else 0 for share in (0.25, 0.75))
        assert low <= len(run) <= high and (not run or run[-1] < n + 3)
        starts |= {run[0]} if run else set()
    assert len(starts) > 10
    parts = [random_chunk(x, 1.0, 1.0, within=half) for half in ((0.0, 0.5), (0.5, 1.0))]
    for first, second, n in zip(*map(torch.Tensor.tolist, parts), size.tolist(), strict=True):
        assert [t for t in first if t] == list(range(3, 3 + -(-n // 2)))
        assert [t for t in second if t] == list(range(3 + n // 2, 3 + n))
    whole = random_chunk(x, 1.0, 1.0)
    assert torch.equal(whole, trim(x))
    assert seeded(random_chunk, x, 1.0, 1.0, 5).shape == (200, 5)


def test_length_and_place_of_a_chunk_are_independent():
    x = torch.arange(3, 103).repeat(2000, 1)
    view = seeded(random_chunk, x, 0.25, 0.75)
    size = (view != PAD).sum(1)
    place = (view[:, 0] - 3) / (100 - size)
    assert (size.min(), size.max()) == (25, 75) and (place.min(), place.max()) == (0, 1)
    assert place.mean().item() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(size, place)[0, 1]) < 0.1


def test_dropped_tokens_are_padding():
    x = torch.full((100, 100), 7)
    view = seeded(drop_tokens, x, 0.3)
    assert set(view.unique().tolist()) == {0, 7} and (view == 0).float().mean() == pytest.approx(
        0.3, abs=0.02
    )
    assert (x == 7).all()


def test_masked_tokens_have_the_shares_of_the_paper():
    x = torch.full((300, 100), 7)
    x[:, 90:], x[:, 80:90] = PAD, UNKNOWN
    view, chosen = seeded(mask_tokens, x, 1000)
    assert not chosen[:, 80:].any() and torch.equal(view[~chosen], x[~chosen])
    assert chosen[:, :80].float().mean() == pytest.approx(0.15, abs=0.01)
    picked = view[chosen]
    shares = [(picked == MASK).float().mean(), (picked == 7).float().mean()]
    assert shares == pytest.approx([0.8, 0.1], abs=0.02)
    assert picked[(picked != MASK) & (picked != 7)].min() >= 3 and picked.max() > 900


def test_a_vocabulary_of_special_tokens_only_has_none_to_mask():
    x = torch.tensor([[UNKNOWN, UNKNOWN, PAD]])
    view, chosen = mask_tokens(x, N_SPECIAL, p=1.0)
    assert torch.equal(view, x) and not chosen.any()


# ---- encoders ------------------------------------------------------------------------------


def transformer(**params):
    return seeded(TokenTransformer, 30, width=16, n_layers=2, n_heads=2, **params).double().eval()


def test_attention_with_a_mask_equals_loop():
    g = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 5, 4, generator=g, dtype=torch.float64)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    out = attend(q, k, v, mask)
    for t in range(5):
        score = torch.stack([(q[:, :, t] * k[:, :, s]).sum(2) / 2 for s in range(t + 1)])
        weight = score.exp() / score.exp().sum(0)
        expected = sum(weight[s][:, :, None] * v[:, :, s] for s in range(t + 1))
        torch.testing.assert_close(out[:, :, t], expected)
    low = [z.bfloat16().requires_grad_() for z in (q, k, v)]  # written out for a slow backward
    torch.testing.assert_close(attend(*low, mask).double(), out, atol=0.05, rtol=0.05)


def test_turned_products_depend_on_distances_only():
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 7, generator=g, dtype=torch.float64).expand(2, 1, 1, 9, 7)
    product = rotate_positions(q)[0, 0] @ rotate_positions(k)[0, 0].T
    for shift in range(-8, 9):
        diagonal = product.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (product[0] - product[0, 0]).abs()[1:].min() > 1e-3
    torch.testing.assert_close(rotate_positions(q).square().sum(3), q.square().sum(3))


@pytest.mark.parametrize("pooling", ["mean", "max", None])
@pytest.mark.parametrize("is_causal", [True, False])
def test_padding_is_not_read(pooling, is_causal):
    encoder = transformer(pooling=pooling, is_causal=is_causal)
    x, size = batch(12, 9)
    together, tokens = encoder(x), encoder.sequence(x)
    assert (tokens[x == PAD].abs().sum(1) > 0).sum() == (size == 0).sum()
    for i, n in enumerate(size.tolist()):
        alone = x[i : i + 1, : max(n, 1)]
        torch.testing.assert_close(encoder(alone)[0], together[i])
        rows = encoder.sequence(alone)[0]
        torch.testing.assert_close(rows, tokens[i, : max(n, 1)])
        expected = rows.amax(0) if pooling == "max" else rows.mean(0)
        torch.testing.assert_close(together[i], expected)
    assert together.isfinite().all()
    torch.testing.assert_close(encoder.train()(x), together)


def test_who_looks_ahead():
    x = torch.arange(3, 13)[None]
    other = x.clone()
    other[:, 6] = 20
    moved = [(e.sequence(x) - e.sequence(other)).abs().sum(2)[0] > 1e-9 for e in both_ways()]
    assert moved[0].tolist() == [False] * 6 + [True] * 4 and moved[1].all()


def both_ways():
    return transformer(is_causal=True), transformer()


def test_order_matters_to_the_transformer_only():
    x, bag = torch.tensor([[3, 4, 5], [5, 4, 3]]), BagOfTokens(torch.ones(9), 8)
    z = transformer()(x)
    assert (z[0] - z[1]).abs().max() > 1e-3
    torch.testing.assert_close(*bag(x))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_bag_equals_loop(pooling):
    weight = torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0, 0.5])
    bag = BagOfTokens(weight, 4, pooling)
    x = torch.tensor([[3, 4, 4, 0], [5, 0, 0, 0], [0, 0, 0, 0], [1, 3, 0, 0]])
    vectors = bag.embedding.weight
    for z, row in zip(bag(x), x.tolist(), strict=True):
        parts = [weight[t] * vectors[t] for t in row if t] or [torch.zeros(4)]
        if pooling == "max":
            expected = torch.stack(parts).amax(0)
        else:
            total = sum(parts)
            expected = 2 * total / max(total.square().sum().sqrt().item(), 1e-6)
        torch.testing.assert_close(z, expected)


def test_gradients_are_finite_where_there_is_no_token():
    x = torch.tensor([[0, 0, 0], [3, 0, 0]])
    for encoder in (BagOfTokens(torch.ones(9).index_fill(0, torch.arange(3), 0), 8), transformer()):
        encoder.train()(x).square().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


# ---- losses of the methods -----------------------------------------------------------------


def parts_of(method, **params):
    """Return a fitted method, its net in evaluation mode and rows, in float64."""
    fitted = clone(method).set_params(warm_start=True, **params).fit(tokens()[:40, :20])
    return fitted, fitted._net.eval().double(), fitted._reader.read(tokens()[:7, :20])


def slow_cross_entropy(net, h, target):
    h = net.decoder.change(h)
    scores = [
        (h * v).sum().item() + b.item()
        for v, b in zip(net.reader.embedding.weight, net.decoder.bias, strict=True)
    ]
    largest = max(scores)
    return largest + math.log(sum(math.exp(s - largest) for s in scores)) - scores[target]


def test_masked_language_model_loss_equals_loop():
    bert, net, x = parts_of(METHODS[0])
    value = seeded(bert._loss, net, x).item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        chunk = net.views(x)[0]
        view, chosen = mask_tokens(chunk, net.columns.size)
    errors = []
    for i, row in enumerate(view):
        h = net.encoder.sequence(row[None])[0]
        for j in chosen[i].nonzero()[:, 0].tolist():
            errors.append(slow_cross_entropy(net, h[j], chunk[i, j]))
    assert len(errors) > 5 and value == pytest.approx(np.mean(errors), rel=1e-6)


def test_next_token_loss_equals_loop():
    gpt, net, x = parts_of(METHODS[1])
    value = seeded(gpt._loss, net, x).item()
    errors = []
    for row in x:
        known = row[row != PAD]
        for j, target in enumerate(known):
            before = torch.cat([torch.tensor([MASK]), known[:j]])
            h = net.encoder.sequence(before[None])[0, -1]
            errors.append(slow_cross_entropy(net, h, target))
    assert value == pytest.approx(np.mean(errors), rel=1e-6)


def test_a_part_of_many_tokens_is_predicted_on_average_as_all(monkeypatch):
    gpt, net, x = parts_of(METHODS[1])
    whole = seeded(gpt._loss, net, x).item()
    module = sys.modules[NextToken.__module__]
    monkeypatch.setattr(module, "SCORES_AT_ONCE", 30 * net.columns.size)
    parts = [seeded(gpt._loss, net, x, seed=seed).item() for seed in range(40)]
    assert np.std(parts) > 0 and abs(np.mean(parts) - whole) < 4 * np.std(parts) / 40**0.5


def test_text_contrast_loss_is_that_of_its_views():
    contrast, net, x = parts_of(METHODS[2], temperature=0.3)
    value = seeded(contrast._loss, net, x)
    a, b = seeded(net.views, x)
    expected = nt_xent(net.encoder(a), net.encoder(b), 0.3)
    assert a.shape[0] == 7 and value.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("method", METHODS[:2], ids=["MaskedLanguageModel", "NextToken"])
def test_a_batch_without_a_token_has_no_loss(method):
    fitted, net, x = parts_of(method)
    value = fitted._loss(net, torch.zeros_like(x))
    value.backward()
    assert value.item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


class Reads(nn.Module):
    """A user's module: a recurrent net, which looks back only, or its mean alone."""

    def __init__(self, n_tokens, is_causal=True):
        super().__init__()
        self.tokens, self.is_causal = nn.Embedding(n_tokens, 12), is_causal
        self.gru = nn.GRU(12, 10, batch_first=True, bidirectional=not is_causal)

    def sequence(self, x):
        return self.gru(self.tokens(x))[0]

    def forward(self, x):
        return self.sequence(x).mean(1)


@every_method
def test_encoders_of_ones_own(method):
    X = tokens()[:40, :20]
    size = TokenReader().fit(X).columns.size
    assert clone(method).set_params(encoder=Reads(size)).fit_transform(X).shape == (40, 10)
    steps = clone(method).set_params(encoder=lambda x: Reads(size), pooling=None).fit_transform(X)
    assert steps.shape == (40, 20, 10)
    bare = clone(method).set_params(encoder=nn.Sequential(nn.Embedding(size, 3), nn.Flatten()))
    if isinstance(method, TextContrast):
        with pytest.raises(ValueError, match="pooling=None returns what the encoder's sequence"):
            clone(bare).set_params(encoder=Bare(size), pooling=None).fit(X).transform(X)
    else:
        with pytest.raises(ValueError, match=r"needs an encoder whose sequence\(x\)"):
            bare.fit(X)


class Bare(nn.Module):
    def __init__(self, n_tokens):
        super().__init__()
        self.tokens = nn.Embedding(n_tokens, 4)

    def forward(self, x):
        return self.tokens(x).mean(1)


def test_an_encoder_that_looks_ahead_is_an_error():
    X = tokens()[:40, :20]
    size = TokenReader().fit(X).columns.size
    for encoder in ("transformer", Reads(size, is_causal=False)):
        with pytest.raises(ValueError, match="looks back only"):
            NextToken(encoder=encoder, max_epochs=1).fit(X)


# ---- what fitted models do -----------------------------------------------------------------

PHRASES = ["the cat sat on the mat", "a dog lay on a rug", "my fish swam in my bowl"] * 15
QUICK = {"n_components": 32, "max_epochs": 150, "learning_rate": 3e-3, "random_state": 0}


@functools.cache
def told(cls):
    return cls(**QUICK, precision="float32").fit(PHRASES)


def test_blanks_are_filled_in():
    bert = told(MaskedLanguageModel)
    texts = ["The [MASK] sat on the mat", "nothing missing", "a dog [MASK] on a [MASK]", None]
    before = list(texts)
    filled = bert.fill_mask(texts)
    assert filled == ["The cat sat on the mat", "nothing missing", "a dog lay on a rug", ""]
    assert texts == before
    top = bert.fill_mask(texts, top=3)
    assert [len(blanks) for blanks in top] == [1, 0, 2, 0]
    best = top[0][0]
    assert best[0][0] == "cat" and len(best) == 3
    assert 1 >= best[0][1] >= best[1][1] >= best[2][1] > 0
    assert bert.fill_mask(["no blank"]) == ["no blank"]
    assert bert.fill_mask(["no blank"], top=2) == [[]]
    alone = bert.fill_mask(texts[2:3], top=1)[0]
    assert [words[0][0] for words in alone] == ["lay", "rug"]
    assert pickle.loads(pickle.dumps(bert)).fill_mask(texts) == filled


def test_blanks_of_token_arrays_are_refused():
    fitted = clone(METHODS[0]).fit(tokens()[:40, :20])
    with pytest.raises(ValueError, match="fitted to token ids"):
        fitted.fill_mask(["a [MASK]"])
    with pytest.raises(ValueError, match="a single str"):
        told(MaskedLanguageModel).fill_mask("a [MASK]")


def test_texts_are_continued():
    gpt = told(NextToken)
    assert gpt.generate("The  cat", 4, temperature=0) == "The  cat sat on the mat"
    several = gpt.generate(["a dog", "my fish swam in"], 2, temperature=0)
    assert several == ["a dog lay on", "my fish swam in my bowl"]
    drawn = {gpt.generate("", 6, random_state=seed) for seed in range(12)}
    assert len(drawn) > 1 and {text.split()[0] for text in drawn} <= set(" ".join(PHRASES).split())
    assert gpt.generate("", 6, random_state=3) == gpt.generate("", 6, random_state=3)
    assert gpt.generate("a dog", 0) == "a dog"
    for bad in ({"temperature": -1}, {"n_tokens": -1}):
        with pytest.raises(ValueError, match="must not be negative"):
            gpt.generate("a", **bad)
    with pytest.raises(ValueError, match="modality"):
        gpt.generate(np.zeros((2, 3)))


def test_sequences_of_any_symbols_are_continued():
    """A wave of 3 levels, of which 0 is one: there is no padding."""
    wave = np.tile([0, 3, 9, 3], 10)
    X = np.stack([wave[i : i + 24] for i in range(16)])
    quick = {**QUICK, "n_components": 16, "max_epochs": 80, "learning_rate": 1e-2}
    gpt = NextToken(pad_token=None, chunk_length=8, precision="float32", **quick).fit(X)
    out = gpt.generate(X[:2, :4], 20, temperature=0)
    assert np.array_equal(out, X[:2])  # far beyond what it looks back
    one = gpt.generate(X[1, :10].tolist(), 3, temperature=0)
    assert np.array_equal(one, X[1, :13])
    padded = NextToken(precision="float32", **quick).fit(X + 1)
    out = padded.generate(np.array([[4, 10, 4, 1], [10, 4, 0, 0]]), 2, temperature=0)
    assert out.tolist() == [[4, 10, 4, 1, 4, 10], [10, 4, 1, 4, 0, 0]]


def test_generation_touches_no_global_state():
    gpt = told(NextToken)
    torch.manual_seed(7), np.random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    gpt.generate("a dog", 3, random_state=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@every_method
def test_pooling(method):
    X = tokens()[:40, :20]
    mean = clone(method).fit(X)
    largest = clone(method).set_params(pooling="max").fit(X)
    steps = clone(method).set_params(pooling=None).fit(X)
    Z = steps.transform(X)
    assert Z.shape == (40, 20, 16) and Z.dtype == np.float32
    assert (Z[X == 0] == 0).all()
    n_tokens = (X > 0).sum(1)
    assert n_tokens.min() > 0
    if not isinstance(method, TextContrast):
        np.testing.assert_allclose(
            mean.transform(X), Z.sum(1) / n_tokens[:, None], rtol=1e-4, atol=1e-5
        )
    assert largest.transform(X).shape == (40, 16)
    assert not np.allclose(largest.transform(X), mean.transform(X))


@every_method
def test_texts_and_their_tokens_embed_alike(method):
    texts = docstrings()[0][:40]
    Z = clone(method).fit_transform(texts)
    pipe = make_pipeline(TextTokenizer(), clone(method))
    np.testing.assert_array_equal(pipe.fit_transform(texts), Z)
    longer = clone(method).fit(tokens()[:40, :20])
    np.testing.assert_allclose(
        longer.transform(np.pad(tokens()[:40, :20], [(0, 0), (0, 9)])),
        longer.transform(tokens()[:40, :20]),
        rtol=1e-4,
        atol=1e-5,
    )
    with_holes = clone(method).fit([*texts, None, ""])
    assert np.isfinite(with_holes.transform(["", None, "unheard-of ☃"])).all()
    alone = with_holes.transform([None])  # which nothing says is a text but the fit
    np.testing.assert_allclose(alone, with_holes.transform([""]), rtol=1e-5)
    with pytest.raises(ValueError, match=r"reads texts or tokens; X looks like modality='series'"):
        clone(method).fit(np.zeros((5, 2, 9)))


def test_views_of_ones_own_see_tokens():
    seen = []

    def view(x):
        seen.append((x.dtype, x.ndim))
        return x[:, :7]

    TextContrast(views=view, **CHEAP).fit(tokens()[:40, :20])
    assert set(seen) == {(torch.int64, 2)}
    with pytest.raises(ValueError, match="views of images"):
        TextContrast(views="weak", **CHEAP).fit(tokens()[:40, :20])
    with pytest.raises(ValueError, match="chunk_range must hold two shares"):
        TextContrast(chunk_range=(0.9, 0.1)).fit(tokens()[:40, :20])


# ---- learning ------------------------------------------------------------------------------

# Points of accuracy over untrained encoders, in telling the package of a docstring from 50 labels:
# the margin, and the number of fits whose mean has it. What was measured, its standard deviation:
MARGIN = {
    "MaskedLanguageModel": (3.5, 1),  # 9.8, 2.8
    "NextToken": (0.5, 3),  # 5.1, 2.2 of one fit
    "TextContrast": (5.5, 1),  # 11.4, 1.6
}
LEARNING = {
    "MaskedLanguageModel": MaskedLanguageModel(max_epochs=60, batch_size=16),
    "NextToken": NextToken(max_epochs=8, batch_size=8),
    "TextContrast": TextContrast(max_epochs=60),
}


def split():
    """Docstrings to learn from, and others."""
    X = tokens(32)
    return np.split(X, [len(X) * 4 // 5])


@functools.cache
def learnt(name, seed, **params):
    params = {"n_components": 48, "learning_rate": 3e-3, "precision": "float32", **params}
    return clone(LEARNING[name]).set_params(random_state=seed, **params).fit(split()[0])


def probe(Z):
    """Mean accuracy of a linear model on 50 labels, over ten draws of them."""
    y, scores = docstrings()[1], []
    Z = (Z - Z.mean(0)) / Z.std()
    for draw in range(10):
        order = np.random.default_rng(draw).permutation(len(y))
        model = LogisticRegression(max_iter=500).fit(Z[order[:50]], y[order[:50]])
        scores.append(model.score(Z[order[50:]], y[order[50:]]))
    return np.mean(scores)


@pytest.mark.learns(*MARGIN)
@pytest.mark.parametrize("name", LEARNING)
def test_it_beats_its_own_untrained_encoder(name, seed, margin):
    bound, n_fits = MARGIN[name]
    untrained = [probe(learnt(name, s, max_epochs=0).transform(tokens(32))) for s in range(5)]
    seeds = range(n_fits * seed, n_fits * seed + n_fits)
    trained = [probe(learnt(name, s).transform(tokens(32))) for s in seeds]
    margin(100 * (np.mean(trained) - np.mean(untrained)), bound)


def bigram_accuracy(train, test, chosen):
    """Accuracy of the most frequent word, and of the most frequent one after the word before."""
    most = np.bincount(train[train > 0]).argmax()
    after = {}
    for row in train:
        for a, b in pairwise(row[row > 0].tolist()):
            after.setdefault(a, []).append(b)
    follow = {a: np.bincount(b).argmax() for a, b in after.items()}
    target, before = test[chosen], test[np.roll(chosen, -1, 1)]
    guessed = np.array([follow.get(a, most) for a in before.tolist()])
    return (target == most).mean(), (target == guessed).mean()


def test_words_are_filled_in_better_than_by_counting(seed, margin):
    train, test = split()
    chosen = (np.random.default_rng(0).random(test.shape) < 0.15) & (test > 0)
    chosen[:, 0] = False
    unigram, bigram = bigram_accuracy(train, test, chosen)
    bert = learnt("MaskedLanguageModel", seed)
    x = bert._reader.read(test)
    hidden = x.masked_fill(torch.from_numpy(chosen), MASK)
    with torch.no_grad():
        scores = bert._score(bert.encoder_[1].sequence(hidden)[hidden == MASK])
    accuracy = (scores.argmax(1) == x[hidden == MASK]).float().mean().item()
    assert 0.02 < unigram < bigram
    margin(accuracy - bigram, 0.02)


# ---- with labels ---------------------------------------------------------------------------


def test_raw_words_are_topics():
    texts, _ = docstrings()
    for raw, X in ((RawWords(), texts), (RawTokens(), tokens())):
        out = raw.fit(X[:200], X[200:]).transform(X)
        assert out.shape == (len(texts), raw.n_outputs) and out.dtype == np.float32
        assert out.var(0).mean() == pytest.approx(1, rel=0.05) and raw.n_outputs == 100
    few = RawWords().fit(["one word", None, "word"])
    assert few.transform(["unseen", "", "word"]).shape == (3, 2)


def test_the_default_reads_texts():
    texts, y = docstrings()
    few = np.where(np.arange(len(y)) < 60, y, None)
    model = PretrainedClassifier(
        TextContrast(max_epochs=1), LogisticRegression(max_iter=500), random_state=0
    )
    assert model.fit(texts, few).score(texts[60:], y[60:]) > 0.6
    assert model.raw_columns_.n_outputs == 100
    from skssl.semi_supervised._base import default_transformer

    assert isinstance(default_transformer(texts), TextContrast)
    assert isinstance(default_transformer(pd.Series([None, "a"])), TextContrast)
