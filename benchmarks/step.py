"""What a training step costs: each encoder, the views, loss and optimiser, and how near to the machine's peak it comes.

Usage, after `make run`:  python -m benchmarks.step [--repeats 12] [--threads 1] [--compile] [--paper 2] [--json FILE]

Prints CPU milliseconds a material of the four-modality combination at preset `small`, and the share of the measured
peak of matrix products that the step's matrix products and convolutions reach. Products inside compiled loops (the
crystal's edges) are not counted. `--compile` has `torch.compile` translate the encoders of DOS and text first and
prints what that took: the others are compiled loops already.

`--paper N` then compares steps of N materials at the shapes of preset `paper`: ours, and one as the published recipe
has it: single precision, CGConv of PyTorch Geometric, each text padded to 512 tokens, each DOS of 2,001 tokens. Words
and weights are random; crystals, and the lengths of texts, are the sample's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.choices import FEATURES, changed
from matbind.materials.formula import ELEMENTS
from matbind.modalities.combinations import parse_combination
from matbind.modalities.crystal.transform import CrystalBatch
from matbind.modalities.dos.transform import DosBatch
from matbind.modalities.layers import masked_mean, sinusoids
from matbind.modalities.pxrd.transform import PatternBatch
from matbind.modalities.table import part
from matbind.modalities.text.transform import TokenBatch
from matbind.settings import load as settings_module
from matbind.training.loss import info_nce
from matbind.training.trainer import Trainer

GEMM = ((4096, 256, 128), (4096, 192, 96), (1024, 1024, 1024))
WORDS = 30522  # of BERT
TOKENS = 512


class Stopwatch:
    """CPU milliseconds by name."""

    def __init__(self) -> None:
        self.measured: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str, n: int) -> Iterator[None]:
        """Measure the block, for each of n materials."""
        started = time.process_time()
        yield
        self.measured[name].append(1000 * (time.process_time() - started) / n)

    def medians(self) -> dict[str, float]:
        """Return the median of every name."""
        return {name: float(np.median(values)) for name, values in self.measured.items()}


def step(trainer: Trainer, index: Any, rng: np.random.Generator, watch: Stopwatch) -> None:
    """Take one step as `Trainer` takes it, measured piece by piece."""
    n, combination = len(index), trainer.combination
    with watch("views: strain", n):
        strain = trainer._strain(index, rng)  # noqa: SLF001
    z, rows = {}, {name: trainer.stores[name].present[index] for name in combination.modalities}
    for name in combination.modalities:
        with watch(f"views: {name}", n):
            batch = trainer.transforms[name](index[rows[name]], rng=rng, strain=strain.of(rows[name]))
        with watch(f"{name}: forward", n), trainer.autocast():
            z[name] = trainer.model.embed(name, batch)
    gradients = {name: value.detach().requires_grad_() for name, value in z.items()}
    with watch("loss", n):
        losses = []
        for spoke in combination.spokes:
            both = rows[combination.hub] & rows[spoke]
            pair = [gradients[name][torch.from_numpy(both[rows[name]])] for name in (combination.hub, spoke)]
            losses.append(info_nce(*pair, trainer.model.logit_scale(spoke)))
        torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
    for name, value in z.items():
        with watch(f"{name}: backward", n):
            value.backward(gradients[name].grad)  # type: ignore[no-untyped-call]
    with watch("optimiser", n):
        nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0, foreach=True)
        trainer.optimizer.step()
        trainer._update_average(10)  # noqa: SLF001
        trainer.optimizer.zero_grad()


def peaks(repeats: int) -> dict[str, float]:
    """Measure the largest rate of matrix products of fitting shapes, GFLOP/s of CPU time."""
    rates = {}
    for name, kind in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        best = 0.0
        for m, n, k in GEMM:
            a, b = torch.randn(m, k).to(kind), torch.randn(k, n).to(kind)
            best = max(best, 2e-9 * m * n * k / fastest(lambda a=a, b=b: a @ b, repeats))
        rates[name] = best
    return rates


def fastest(run: Callable[[], Any], repeats: int) -> float:
    """Return the fewest CPU seconds that something took."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return min(seconds)


class ReferenceDos(nn.Module):
    """A Transformer whose tokens are all points of a padded DOS, mixed of energy and density."""

    def __init__(self, width: int, heads: int, feedforward: int, layers: int, n_bins: int) -> None:
        super().__init__()
        self.energy, self.density, self.mix = nn.Linear(1, width), nn.Linear(1, width), nn.Linear(2, 1)
        self.register_buffer("axis", torch.linspace(-10, 10, n_bins)[:, None], persistent=False)
        self.register_buffer("position", sinusoids(n_bins, width), persistent=False)
        layer = nn.TransformerEncoderLayer(width, heads, feedforward, 0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, batch: DosBatch) -> Tensor:
        """Encode."""
        density = self.density(batch.density[..., None])
        energy = self.energy(self.get_buffer("axis")).expand_as(density)
        tokens = self.mix(torch.stack([energy, density], dim=3))[..., 0] + self.get_buffer("position")
        return masked_mean(self.layers(tokens, src_key_padding_mask=~batch.mask), batch.mask)


class ReferenceCrystal(nn.Module):
    """Six CGConv of PyTorch Geometric."""

    def __init__(self, width: int, layers: int, gaussians: int) -> None:
        from torch_geometric.nn import CGConv

        super().__init__()
        self.site = nn.Linear(96, width)
        self.register_buffer("centers", torch.linspace(0, 8, gaussians), persistent=False)
        self.convolutions = nn.ModuleList(CGConv(width, dim=gaussians) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Encode."""
        from torch_geometric.nn import global_mean_pool

        graph = batch.graph
        x, edge = self.site(graph.x), torch.exp(-(((graph.edge_attr - self.get_buffer("centers")) / 0.2) ** 2))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(F.relu(convolution(x, graph.edge_index, edge)))
        pooled: Tensor = global_mean_pool(x, graph.batch, graph.num_graphs)
        return pooled


class ReferencePattern(nn.Module):
    """A one-dimensional residual network with its channels first."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: PatternBatch) -> Tensor:
        """Encode."""
        net = self.encoder
        x = torch.stack([batch.pattern, batch.mask.float()], dim=1)
        x = F.max_pool1d(F.relu(net.stem_norm(net.stem(x))), 3, 2, 1)
        for block in net.blocks:
            y = F.relu(block.first_norm(block.first(x)))
            x = F.relu(block.second_norm(block.second(y)) + block.shortcut(x))
        return x.mean(dim=2)


class ReferenceText(nn.Module):
    """BERT over texts that are padded to 512 tokens."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, batch: TokenBatch) -> Tensor:
        """Encode."""
        missing = TOKENS - batch.token.shape[1]
        token, mask = F.pad(batch.token, (0, missing)), F.pad(batch.mask, (0, missing))
        return masked_mean(self.bert(input_ids=token, attention_mask=mask.long()).last_hidden_state, mask)


def paper(trainer: Trainer, raw: dict[str, Any], n: int) -> dict[str, dict[str, float]]:
    """Measure forward and backward of every encoder at the shapes of preset `paper`, ours and the reference's."""
    settings = settings_module.parse(raw, preset="paper")
    rng = np.random.default_rng(0)
    present = np.logical_and.reduce([store.present for store in trainer.stores.values()])
    index = np.sort(rng.choice(np.flatnonzero(present), n, replace=False))
    batches = {name: trainer.transforms[name](index) for name in trainer.combination.modalities}
    wide = {"dos": settings.modalities["dos"].features.n_bins, "pxrd": settings.modalities["pxrd"].features.n_bins}
    batches["dos"] = DosBatch(resized(batches["dos"].density, wide["dos"]), torch.ones(n, wide["dos"]) > 0)
    batches["pxrd"] = PatternBatch(resized(batches["pxrd"].pattern, wide["pxrd"]), torch.ones(n, wide["pxrd"]) > 0)
    text = batches["text"]
    token = torch.randint(1, WORDS, text.token.shape) * text.mask
    batches["text"] = TokenBatch(token, text.value, text.mask, torch.zeros(n, len(ELEMENTS)))
    metas: dict[str, dict[str, Any]] = {name: {"n_bins": bins} for name, bins in wide.items()}
    metas |= {"crystal": {}, "text": {"tokenizer": "corpus", "vocabulary": range(WORDS), "max_tokens": TOKENS}}
    watch = Stopwatch()
    for name, batch in batches.items():
        size = settings.modalities[name].encoder
        ours = part(name, "encoder").Encoder(size, metas[name]).train()
        reference: nn.Module = {
            "crystal": lambda size=size: ReferenceCrystal(size.width, size.layers, size.gaussians),
            "dos": lambda size=size: ReferenceDos(size.width, size.heads, size.feedforward, size.layers, wide["dos"]),
            "pxrd": lambda ours=ours: ReferencePattern(ours),
            "text": lambda ours=ours: ReferenceText(ours.bert),
        }[name]()
        for _ in range(2):  # the second counts: kernels are compiled in the first
            watch.measured.pop(f"{name}: ours", None), watch.measured.pop(f"{name}: reference", None)
            with watch(f"{name}: ours", n):
                with trainer.autocast():
                    value = ours(batch)
                value.float().sum().backward()
            with watch(f"{name}: reference", n):
                reference.train()(batch).sum().backward()
    medians = watch.medians()
    return {name: {who: medians[f"{name}: {who}"] for who in ("ours", "reference")} for name in batches}


def resized(curves: Tensor, n_bins: int) -> Tensor:
    """Interpolate curves on a grid of another number of points."""
    return F.interpolate(curves[:, None], size=n_bins, mode="linear")[:, 0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--paper", type=int, default=0, metavar="N")
    parser.add_argument("--features", type=Path, default=FEATURES)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    settings = changed(raw, {})
    combination = parse_combination("crystal+dos+pxrd+text", settings.hub_order)
    trainer = Trainer(settings, combination, seed=settings.seed, features=options.features)
    trainer.model.train()
    rng, watch = np.random.default_rng(0), Stopwatch()
    batches = list(trainer._batches(rng))  # noqa: SLF001
    figures: dict[str, Any] = {"peak_gflops": peaks(options.repeats)}
    if options.compile:
        for name in ("dos", "text"):
            trainer.model.encoders[name].compile(dynamic=True)
    started = time.process_time()
    for index in batches[:3]:  # compiles kernels, or loads them
        step(trainer, index, rng, Stopwatch())
    figures["warm_up_cpu_s"] = time.process_time() - started
    for i in range(options.repeats):
        step(trainer, batches[i % len(batches)], rng, watch)
    figures["milliseconds"] = watch.medians()
    total = sum(figures["milliseconds"].values())
    with FlopCounterMode(display=False) as counter:
        step(trainer, batches[0], rng, Stopwatch())
    gflops = counter.get_total_flops() / 1e9 / len(batches[0])
    figures |= {"total": total, "gflop_a_material": gflops}
    figures["share_of_peak"] = 1000 * gflops / total / figures["peak_gflops"]["bfloat16"]
    print(
        f"CPU ms a material, batches of {len(batches[0])} (the first three steps took {figures['warm_up_cpu_s']:.1f} s)"
    )
    for name, milliseconds in figures["milliseconds"].items():
        print(f"  {name:20}{milliseconds:7.3f}")
    print(f"  {'all':20}{total:7.3f}")
    print(f"matrix products: {gflops:.4f} GFLOP a material, {figures['share_of_peak']:.0%} of the peak in bfloat16")
    print("peak: " + ", ".join(f"{rate:.0f} GFLOP/s in {name}" for name, rate in figures["peak_gflops"].items()))
    if options.paper:
        figures["paper"] = paper(trainer, raw, options.paper)
        print(f"CPU ms a material at the shapes of preset paper, {options.paper} materials:")
        for name, row in figures["paper"].items():
            ratio = row["reference"] / row["ours"]
            print(f"  {name:10} ours {row['ours']:9.1f}  reference {row['reference']:9.1f}  ratio {ratio:.1f}")
        sums = [sum(row[who] for row in figures["paper"].values()) for who in ("reference", "ours")]
        figures["paper_ratio"] = sums[0] / sums[1]
        print(f"  together, ratio {figures['paper_ratio']:.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
