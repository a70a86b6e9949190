from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.nn import CGConv

from matbind.base.errors import UserError
from matbind.modalities.combinations import parse_combination
from matbind.modalities.crystal.convolution import CONVOLUTIONS, SplitCGConv
from matbind.modalities.crystal.settings import EncoderSettings
from matbind.serving.bundle import write_bundle
from matbind.serving.searcher import Searcher
from matbind.training.combination import train_and_evaluate
from tests.factories import copper, make_settings, needs_sample, real_features, small_run

SETTING = "modalities.crystal.encoder.convolution"
N_SITES, N_NEIGHBORS, WIDTH, EDGE_DIM = 9, 5, 6, 4


def random_graph() -> tuple[Data, Tensor, Tensor]:
    """A graph of sites with up to five edges, and the same as padded neighbours with their mask."""
    torch.manual_seed(1)
    neighbor = torch.randint(0, N_SITES, (N_SITES, N_NEIGHBORS))
    mask = torch.rand(N_SITES, N_NEIGHBORS) < 0.8
    mask[3] = False
    receiver = torch.arange(N_SITES)[:, None].expand(N_SITES, N_NEIGHBORS)
    graph = Data(
        x=torch.randn(N_SITES, WIDTH),
        edge_index=torch.stack([neighbor[mask], receiver[mask]]),
        edge_attr=torch.randn(int(mask.sum()), EDGE_DIM),
    )
    return graph, neighbor, mask


def results(net: nn.Module, graph: Data) -> tuple[Tensor, Tensor, Tensor]:
    """Values, and gradients of sites and edges."""
    x, edge_attr = graph.x.clone().requires_grad_(), graph.edge_attr.clone().requires_grad_()
    values = net(x, graph.edge_index, edge_attr)
    (values * torch.linspace(-1, 1, values.numel()).view_as(values)).sum().backward()
    return values.detach(), x.grad, edge_attr.grad


def as_stock(name: str, ours: SplitCGConv) -> Tensor:
    """What the parameter `name` of CGConv is for these weights, or its gradient for their gradients."""
    which = int(name.startswith("lin_s"))
    if name.endswith("bias"):
        return ours.site.bias.view(2, 2, -1)[0, which]
    site = ours.site.weight.view(2, 2, WIDTH, WIDTH)
    return torch.cat([site[0, which], site[1, which], ours.edge.weight.view(2, WIDTH, EDGE_DIM)[which]], dim=1)


def test_the_split_convolution_equals_cgconv_in_values_and_gradients():
    torch.manual_seed(0)
    graph, _, _ = random_graph()
    ours, oracle = SplitCGConv(WIDTH, EDGE_DIM), CGConv(WIDTH, dim=EDGE_DIM)
    with torch.no_grad():
        ours.site.bias[2 * WIDTH :] = 0  # the library has one bias for receiver and neighbour together
        for name, parameter in oracle.named_parameters():
            parameter.copy_(as_stock(name, ours))

    for mine, theirs in zip(results(ours, graph), results(oracle, graph), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    for parameter in ours.parameters():
        parameter.data = parameter.grad
    for name, parameter in oracle.named_parameters():
        torch.testing.assert_close(as_stock(name, ours), parameter.grad, rtol=1e-5, atol=2e-6)


def test_the_split_convolution_equals_a_dense_sum_over_padded_neighbours():
    torch.manual_seed(0)
    graph, neighbor, mask = random_graph()
    net = SplitCGConv(WIDTH, EDGE_DIM)
    padded = torch.zeros(N_SITES, N_NEIGHBORS, EDGE_DIM).masked_scatter(mask[..., None], graph.edge_attr)

    receiver, sender = net.site(graph.x).chunk(2, dim=1)
    gate, value = (net.edge(padded) + sender[neighbor] + receiver[:, None]).chunk(2, dim=2)
    expected = graph.x + (torch.sigmoid(gate) * F.softplus(value) * mask[..., None]).sum(dim=1)

    torch.testing.assert_close(results(net, graph)[0], expected.detach(), rtol=1e-6, atol=1e-6)


def parameter_gradients(net: SplitCGConv, graph: Data, *, plain: bool) -> list[Tensor]:
    """Values, and gradients of sites and parameters, by tensor operations or by compiled loops."""
    x = graph.x.clone().requires_grad_()
    values = net(x, graph.edge_index, graph.edge_attr.clone().requires_grad_(plain))
    weight = torch.linspace(-1, 1, values.numel()).view_as(values)
    return [values, *torch.autograd.grad((values * weight).sum(), [x, *net.parameters()])]


@pytest.mark.parametrize("width", [WIDTH, 64])
@pytest.mark.parametrize("features", ["any", "gaussians", "none"])
def test_compiled_loops_equal_tensor_operations_in_values_and_gradients(width, features):
    torch.manual_seed(0)
    graph, _, _ = random_graph()
    graph.x = torch.randn(N_SITES, width)
    if features != "any":  # of lengths that the Gaussians cover, and of lengths far from all of them
        length = torch.rand(graph.num_edges, 1) * 8 + (50 if features == "none" else 0)
        graph.edge_attr = torch.exp(-(((length - torch.linspace(0, 8, 41)) / 0.2) ** 2))
    net = SplitCGConv(width, graph.edge_attr.shape[1])
    for compiled, plain in zip(
        parameter_gradients(net, graph, plain=False), parameter_gradients(net, graph, plain=True), strict=True
    ):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-5)


def test_gates_far_open_and_far_shut_are_finite():
    torch.manual_seed(0)
    graph, _, _ = random_graph()
    graph.x = graph.x * 1000
    net = SplitCGConv(WIDTH, EDGE_DIM)
    for compiled, plain in zip(
        parameter_gradients(net, graph, plain=False), parameter_gradients(net, graph, plain=True), strict=True
    ):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-3)


def test_messages_that_autocast_multiplied_short_are_summed_in_single_precision():
    net, n_edges = SplitCGConv(WIDTH, EDGE_DIM), 4096
    to_one_site = torch.zeros(2, n_edges, dtype=torch.long)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        summed = net(torch.zeros(1, WIDTH), to_one_site, torch.ones(n_edges, EDGE_DIM))
        single = net(torch.zeros(1, WIDTH), to_one_site[:, :1], torch.ones(1, EDGE_DIM))
    torch.testing.assert_close(summed, n_edges * single, rtol=1e-3, atol=0)


def test_the_names_of_its_parameters_are_those_of_models_trained_before():
    assert set(SplitCGConv(WIDTH, EDGE_DIM).state_dict()) == {"site.weight", "site.bias", "edge.weight"}


def test_the_setting_knows_every_convolution_of_the_table():
    assert get_args(EncoderSettings.model_fields["convolution"].annotation) == tuple(CONVOLUTIONS)


def test_an_unknown_convolution_is_refused_in_a_sentence():
    with pytest.raises(UserError, match=rf"^params\.yaml: {SETTING} is 'GCNConv': input should be 'SplitCGConv', "):
        make_settings({SETTING: "GCNConv"})


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("changed_edge", [0, 1])
def test_each_sees_the_length_of_every_edge_that_ends_at_a_site_also_of_that_to_its_image(name, changed_edge):
    torch.manual_seed(0)
    net, x = CONVOLUTIONS[name](WIDTH, EDGE_DIM).eval(), torch.randn(3, WIDTH)
    edge_index = torch.tensor([[0, 1], [1, 1]])  # from another site, and from itself
    edge_attr = torch.randn(2, EDGE_DIM)
    longer = edge_attr.clone()
    longer[changed_edge] += 1

    difference = net(x, edge_index, longer) - net(x, edge_index, edge_attr)

    assert difference.abs().sum(dim=1).gt(1e-3).tolist() == [False, True, False]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_each_takes_a_graph_of_nothing(name):
    empty = torch.zeros(0, WIDTH), torch.zeros(2, 0, dtype=torch.long), torch.zeros(0, EDGE_DIM)
    assert CONVOLUTIONS[name](WIDTH, EDGE_DIM)(*empty).shape == (0, WIDTH)


@needs_sample
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_model_with_each_is_trained_saved_and_answers(tmp_path, name, precision):
    settings = small_run({SETTING: name, "training.epochs": 1, "training.precision": precision})
    crystal = parse_combination("crystal")

    train_and_evaluate(settings, crystal, seed=0, features=real_features(), models=tmp_path)
    write_bundle(crystal, model_dir=tmp_path / "crystal/seed-0", features=real_features(), out=tmp_path / "bundle")
    searcher = Searcher(tmp_path / "bundle")

    assert searcher.settings.modalities["crystal"].encoder.convolution == name
    answer = searcher.answer({"poscar": copper().to_pymatgen().to(fmt="poscar")})
    assert answer["error"] is None
    assert np.isfinite([row["similarity"] for row in answer["nearest"]]).all()
