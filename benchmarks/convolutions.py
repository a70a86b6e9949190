"""What the convolutions of the crystal encoder cost, and with `--train` what they are worth.

Usage, after `make run`:  python -m benchmarks.convolutions [--repeats 40] [--train] [--epochs 4] [--json FILE]

Prints CPU milliseconds of one thread for forward and backward on one batch of the preset `small`, in single precision
and in bfloat16, and their ratio to the reference: the formula of CGConv as a dense sum over a fixed number of
neighbours, without any library of graphs. All take turns, so that other work on the machine slows them alike.

`--train` trains crystal+text with each of them and prints validation recall@1; the test split is not touched.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.choices import FEATURES, SMALL, changed, measure
from matbind.modalities.crystal.convolution import CONVOLUTIONS
from matbind.modalities.crystal.settings import EncoderSettings
from matbind.modalities.crystal.transform import Transform
from matbind.modalities.store import Store

ENCODER = (*SMALL, "modalities", "crystal", "encoder")
REFERENCE = "dense sum"


class DenseSum(nn.Module):
    """CGConv of sites that all have the same number of edges, one after the other."""

    def __init__(self, width: int, edge_dim: int) -> None:
        super().__init__()
        self.site = nn.Linear(width, 4 * width)
        self.edge = nn.Linear(edge_dim, 2 * width, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Update sites by their neighbours."""
        receiver, sender = self.site(x).chunk(2, dim=1)
        neighbor = edge_index[0].view(len(x), -1)
        message = self.edge(edge_attr).view(*neighbor.shape, -1) + F.embedding(neighbor, sender) + receiver[:, None]
        gate, value = message.chunk(2, dim=2)
        return x + (torch.sigmoid(gate) * F.softplus(value)).to(x.dtype).sum(dim=1)


def costs(encoder: EncoderSettings, graph: Any, repeats: int, *, bfloat16: bool) -> dict[str, float]:
    """Measure the median CPU milliseconds of forward and backward of each convolution."""
    torch.manual_seed(0)
    layers = {
        name: make(encoder.width, encoder.gaussians) for name, make in {REFERENCE: DenseSum, **CONVOLUTIONS}.items()
    }
    layers["SplitCGConv"].load_state_dict(layers[REFERENCE].state_dict())
    x, gradient = torch.randn(graph.num_nodes, encoder.width), torch.randn(graph.num_nodes, encoder.width)
    centers = torch.linspace(0, encoder.gaussian_stop_angstrom, encoder.gaussians)
    edge_attr = torch.exp(-(((graph.edge_attr - centers) / encoder.gaussian_width_angstrom) ** 2))
    seconds: dict[str, list[float]] = {name: [] for name in layers}
    values = {}
    for _ in range(repeats):
        for name, layer in layers.items():
            layer.zero_grad()
            sites = x.clone().requires_grad_()
            started = time.process_time()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                values[name] = layer(sites, graph.edge_index, edge_attr)
            values[name].backward(gradient)
            seconds[name].append(time.process_time() - started)
    torch.testing.assert_close(values["SplitCGConv"], values[REFERENCE], rtol=1e-6, atol=1e-5)
    return {name: 1000 * float(np.median(measured)) for name, measured in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--train", action="store_true", help="train crystal+text with each of them instead")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    raw = yaml.safe_load(Path("params.yaml").read_text())
    figures: dict[str, Any] = {}
    if options.train:
        for name in CONVOLUTIONS:
            settings = changed(raw, {(*ENCODER, "convolution"): name, (*SMALL, "training", "epochs"): options.epochs})
            figures[name] = measure(settings, "crystal+text", FEATURES)
            recall, cpu = figures[name]["recall_at_1"], figures[name]["cpu_seconds"]
            print(f"{name}: recall@1 {recall:.3f} in {cpu:.0f} CPU s", flush=True)
    else:
        block = changed(raw, {}).modalities["crystal"]
        store = Store(FEATURES / "crystal")
        some = np.random.default_rng(0).permutation(store.n_materials)
        graph = Transform(store, block.transform)(some[: raw["presets"]["small"]["training"]["batch_size"]]).graph
        if (graph.edge_index[1].bincount(minlength=graph.num_nodes) * graph.num_nodes != graph.num_edges).any():
            parser.error("a site of the batch lacks neighbours, and the dense sum takes no padding")
        for precision in ("float32", "bfloat16"):
            measured = costs(block.encoder, graph, options.repeats, bfloat16=precision == "bfloat16")
            figures[precision] = measured
            print(f"{precision}, {graph.num_graphs} crystals, {graph.num_nodes} sites, {graph.num_edges} edges:")
            for name, milliseconds in measured.items():
                print(f"  {name:16}{milliseconds:7.1f} CPU ms {milliseconds / measured[REFERENCE]:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
