"""Training of one combination: hub and spokes, symmetric InfoNCE, checkpoint every epoch, best epoch kept.

Everything random in an epoch is drawn from (seed, epoch), so a run that was killed and resumed ends with the same
weights as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matbind.base.errors import UserError
from matbind.base.model_files import CHECKPOINT
from matbind.data.featurize import read_split
from matbind.evaluation.retrieval import ranks_both, recall_at_k
from matbind.modalities.batch import Batch
from matbind.modalities.combinations import Combination, pair_name
from matbind.modalities.strain import Strain, draw_strain
from matbind.modalities.table import part, structure_name
from matbind.settings.params import Settings, TrainingSettings
from matbind.training import distributed
from matbind.training.loss import info_nce
from matbind.training.model import Model, open_stores

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
EVALUATION_BATCH = 128
FEWEST_PAIRS = 2
VIEW_SEED = 9_000_000  # of the two views that score a single modality: the same ones every time


@dataclass
class Progress:
    """Where a training stands; what a checkpoint holds besides weights."""

    epoch: int = 0
    best_epoch: int = 0
    best_recall: float = -1.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains one combination from a features directory."""

    def __init__(self, settings: Settings, combination: Combination, *, seed: int, features: Path) -> None:
        self.settings = settings
        self.seed = seed
        self.combination = combination
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.stores = open_stores(features)
        self.transforms = {
            name: part(name, "transform").Transform(self.stores[name], settings.modalities[name].transform)
            for name in combination.modalities
        }
        torch.manual_seed(seed)
        metas = {name: store.meta for name, store in self.stores.items()}
        self.model = Model(settings, combination, metas).to(self.device)
        distributed.broadcast_parameters(self.model)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.best = copy.deepcopy(self.average.state_dict())
        self.optimizer = make_optimizer(self.model, settings.training)
        self.progress = Progress()
        self.train_index = self._usable(read_split(features, "train"))
        self.validation_index = self._usable(read_split(features, "validation"))
        self._require_materials()

    def _usable(self, index: IntArray) -> IntArray:
        """Return the materials that hold the hub and, if there are spokes, at least one of them."""
        present = self.stores[self.combination.hub].present[index]
        if self.combination.spokes:
            present = present & np.any([self.stores[s].present[index] for s in self.combination.spokes], axis=0)
        return index[present]

    def _require_materials(self) -> None:
        for spoke in self.combination.spokes or (self.combination.hub,):
            for side, index in (("train", self.train_index), ("validation", self.validation_index)):
                both = self.stores[spoke].present[index] & self.stores[self.combination.hub].present[index]
                if both.sum() < FEWEST_PAIRS:
                    names = " and ".join(dict.fromkeys((self.combination.hub, spoke)))
                    raise UserError(
                        f"{self.combination.name}: {both.sum()} materials of the {side} split hold {names}, "
                        f"expected at least {FEWEST_PAIRS}"
                    )

    @property
    def batches_per_epoch(self) -> int:
        """Steps of an epoch; a last short batch is left out unless it is the only one."""
        return max(len(self.train_index) // (self.settings.training.batch_size * distributed.world_size()), 1)

    def fit(
        self,
        directory: Path,
        *,
        on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
        log: Callable[[str], None] = lambda _: None,
    ) -> Model:
        """Train to the end, from the last checkpoint of ``directory`` if there is one.

        Args:
            directory: keeps the checkpoint.
            on_epoch: is given each epoch's figures.
            log: is given sentences on the progress.

        Returns:
            The averaged weights of the epoch with the best validation recall@1.
        """
        settings = self.settings.training
        directory.mkdir(parents=True, exist_ok=True)
        if self.load_checkpoint(directory / CHECKPOINT):
            log(f"{self.combination.name}: resumed after epoch {self.progress.epoch}")
        while self.progress.epoch < settings.epochs and not self._stalled():
            started = time.perf_counter()
            figures = {"epoch": float(self.progress.epoch + 1), **self._train_epoch()}
            self.progress.epoch += 1
            if self.progress.epoch % settings.validate_every == 0 or self.progress.epoch == settings.epochs:
                figures |= self._validate()
            self.progress.seconds += time.perf_counter() - started
            figures["seconds"] = self.progress.seconds
            self.progress.history.append(figures)
            if distributed.rank() == 0:
                self.save_checkpoint(directory / CHECKPOINT)
                log(self._sentence(figures))
                on_epoch(figures)
        self.average.load_state_dict(self.best)
        return self.average

    def _stalled(self) -> bool:
        progress = self.progress
        return 0 < progress.best_epoch < progress.epoch - self.settings.training.patience

    def _sentence(self, figures: Mapping[str, float]) -> str:
        epoch, epochs = self.progress.epoch, self.settings.training.epochs
        seconds = self.progress.seconds / epoch * (epochs - epoch)
        known = seconds > 0 and any("validation_recall_at_1" in earlier for earlier in self.progress.history)
        left = f", about {seconds:.0f} s of training left" if known else ""
        recall = figures.get("validation_recall_at_1")
        scored = f", validation recall@1 {recall:.3f}" if recall is not None else ""
        return f"{self.combination.name}: epoch {epoch} of {epochs}, loss {figures['loss']:.3f}{scored}{left}"

    def _train_epoch(self) -> dict[str, float]:
        epoch, settings = self.progress.epoch, self.settings.training
        order = np.random.default_rng([self.seed, epoch])
        rng = np.random.default_rng([self.seed, epoch, 1 + distributed.rank()])
        torch.manual_seed(self.seed * 1_000_003 + epoch * distributed.world_size() + distributed.rank())
        self.model.train()
        sums: defaultdict[str, float] = defaultdict(float)
        for i, index in enumerate(self._batches(order)):
            step = epoch * self.batches_per_epoch + i
            rate = learning_rate_at(step, settings.epochs * self.batches_per_epoch, settings)
            losses = self.losses(index, rng)
            loss = torch.stack(list(losses.values())).mean()
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            distributed.average_gradients(self.model.parameters())
            nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip, foreach=True)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
            self._update_average(step)
            if not torch.isfinite(loss):
                raise UserError(
                    f"{self.combination.name}: the loss is {float(loss)} in epoch {epoch + 1}, the training diverged; "
                    "a lower training.learning_rate or a higher model.temperature may help"
                )
            for name, value in {"loss": loss, **{f"loss.{k}": v for k, v in losses.items()}}.items():
                sums[name] += float(value.detach())
        return {**{name: value / self.batches_per_epoch for name, value in sums.items()}, "learning_rate": rate}

    def _batches(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield this rank's part of every batch; all ranks draw the same order."""
        order = rng.permutation(self.train_index)
        size = self.settings.training.batch_size
        for i in range(self.batches_per_epoch):
            start = (i * distributed.world_size() + distributed.rank()) * size
            yield np.sort(order[start : start + size])

    def losses(self, index: IntArray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Compute InfoNCE of the hub with every spoke on the materials that hold both; for a single, of two views."""
        hub = self.combination.hub
        if self.combination.is_single:
            first, second = (self._embed(hub, index, rng, self._strain(index, rng)) for _ in range(2))
            return {hub: info_nce(first, second, self.model.logit_scale(hub))}
        strain = self._strain(index, rng)
        present = {name: self.stores[name].present[index] for name in self.combination.modalities}
        z = {name: self._embed(name, index[rows], rng, strain.of(rows)) for name, rows in present.items()}
        losses = {}
        for spoke in self.combination.spokes:
            both = present[spoke] & present[hub]
            rows = [torch.from_numpy(np.flatnonzero(both[present[name]])).to(self.device) for name in (hub, spoke)]
            losses[spoke] = self._pair_loss(spoke, z[hub][rows[0]], z[spoke][rows[1]])
        return losses

    def _pair_loss(self, spoke: str, of_hub: Tensor, of_spoke: Tensor) -> Tensor:
        """Compute InfoNCE of the hub and a spoke, and of each part of the hub and the spoke in the part's block.

        A spoke is aligned with the whole hub by whatever it shares with it most easily, a text by chemistry, a pattern
        by the cell; two spokes that learned to read different parts have nothing in common. The blocks make each spoke
        tell what it can of every part.
        """
        loss = info_nce(of_hub, of_spoke, self.model.logit_scale(spoke))
        if not self.model.hub_blocks:
            return loss
        sides = (z.split(self.model.hub_blocks, dim=1) for z in (of_hub, of_spoke))  # type: ignore[no-untyped-call]
        scales = self.model.part_logit_scales(spoke)
        parts = [info_nce(F.normalize(h), F.normalize(s), scale) for h, s, scale in zip(*sides, scales, strict=True)]
        return loss + self.settings.model.hub_part_weight * torch.stack(parts).sum()

    def _embed(self, name: str, index: IntArray, rng: np.random.Generator, strain: Strain) -> Tensor:
        batch = self.transforms[name](index, rng=rng, strain=strain).to(self.device)
        with self.autocast():
            return self.model.embed(name, batch)

    def _strain(self, index: IntArray, rng: np.random.Generator) -> Strain:
        """Draw a strain of each material that keeps its symmetry."""
        settings = self.settings.deformation
        projectors = self.stores[structure_name()].dense("strain_projector", index)
        return draw_strain(projectors, volumetric=settings.volumetric, shape=settings.shape, rng=rng)

    def _update_average(self, step: int) -> None:
        decay = min(self.settings.training.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)

    def _validate(self) -> dict[str, float]:
        recalls = validation_recalls(self, self.average, self.validation_index)
        mean = float(np.mean(list(recalls.values())))
        if mean > self.progress.best_recall:
            self.progress.best_recall, self.progress.best_epoch = mean, self.progress.epoch
            self.best = copy.deepcopy(self.average.state_dict())
        return {"validation_recall_at_1": mean, **{f"validation_recall_at_1.{pair}": r for pair, r in recalls.items()}}

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context that computes in bfloat16 where the settings and the machine allow it."""
        if use_bfloat16(self.settings.training.precision, self.device):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def embed_split(
        self, model: Model, name: str, index: IntArray, *, view_seed: int | None = None, exact: bool = False
    ) -> npt.NDArray[np.float32]:
        """Embed materials as they are, or augmented by ``view_seed``, shape (len(index), projection_dim)."""
        return self.encode_split(model, name, index, view_seed=view_seed, exact=exact)[1]

    def encode_split(
        self, model: Model, name: str, index: IntArray, *, view_seed: int | None = None, exact: bool = False
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode materials as they are, or augmented by ``view_seed``: the encoder's outputs and the embeddings.

        Args:
            model: the one that embeds.
            name: of the modality.
            index: positions in the store.
            view_seed: seed of the augmentation; None for none.
            exact: in single precision, whatever the training computes in.
        """
        rng = None if view_seed is None else np.random.default_rng([self.settings.seed, VIEW_SEED, view_seed])

        def batches() -> Iterator[Batch]:
            for start in range(0, len(index), EVALUATION_BATCH):
                rows = index[start : start + EVALUATION_BATCH]
                strain = None if rng is None else self._strain(rows, rng)
                yield self.transforms[name](rows, rng=rng, strain=strain)

        with nullcontext() if exact else self.autocast():
            return model.encode_batches(name, batches())

    def save_checkpoint(self, path: Path) -> None:
        """Write everything that resuming needs; the old checkpoint stays until the new one is whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "progress": json.dumps(self.progress.__dict__),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load_checkpoint(self, path: Path) -> bool:
        """Continue from a checkpoint, if there is one."""
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**json.loads(state["progress"]))
        return True


def validation_recalls(trainer: Trainer, model: Model, index: IntArray) -> dict[str, float]:
    """Compute recall@1 of every aligned pair in both directions, or of the two views of a single modality."""
    hub = trainer.combination.hub
    if trainer.combination.is_single:
        views = [trainer.embed_split(model, hub, index, view_seed=i) for i in range(2)]
        return {pair_name(hub, hub): recall_at_k(ranks_both(*views)[0], k=1)}
    return recalls_of(hits_of(trainer, model, index))


def hits_of(trainer: Trainer, model: Model, index: IntArray) -> dict[str, FloatArray]:
    """Return which materials each aligned pair finds at rank 1.

    Args:
        trainer: of the combination.
        model: whose embeddings are asked.
        index: rows of the feature stores; the gallery of a pair is those that hold both.

    Returns:
        By pair, shape (len(index),): 1 for a hit, 0 for a miss, NaN where the material has no such pair.
    """
    combination, hub = trainer.combination, trainer.combination.hub
    present = {name: trainer.stores[name].present[index] for name in combination.modalities}
    z = {name: trainer.embed_split(model, name, index[present[name]]) for name in combination.modalities}
    hits = {}
    for spoke in combination.spokes:
        both = present[hub] & present[spoke]
        ranks = ranks_both(*(z[name][both[present[name]]] for name in (hub, spoke)))
        for pair, of_pair in zip((pair_name(hub, spoke), pair_name(spoke, hub)), ranks, strict=True):
            hits[pair] = np.full(len(index), np.nan)
            hits[pair][both] = of_pair == 1
    return hits


def recalls_of(hits: Mapping[str, FloatArray]) -> dict[str, float]:
    """Compute recall@1 by pair."""
    return {pair: float(np.nanmean(hit)) for pair, hit in hits.items()}


def make_optimizer(model: Model, settings: TrainingSettings) -> torch.optim.AdamW:
    """Make fused AdamW for all parameters that are trained; those of encoders with the factor 0 are frozen.

    Args:
        model: the combination's.
        settings: `learning_rate_factors` are by modality; vectors, such as biases and norms, have no weight decay.

    Returns:
        The optimiser; each group of parameters names its `factor` of the learning rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        modality = name.split(".")[1] if name.startswith("encoders.") else ""
        factor = settings.learning_rate_factors.get(modality, 1.0)
        if factor == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    rows = [{"params": group, "factor": f, "weight_decay": decay} for (f, decay), group in groups.items()]
    return torch.optim.AdamW(rows, lr=settings.learning_rate, betas=settings.betas, fused=True)


def learning_rate_at(step: int, n_steps: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine to zero."""
    warmup = max(settings.warmup_share * n_steps, 1e-9)
    if step < warmup:
        return settings.learning_rate * min((step + 1) / warmup, 1.0)
    done = (step - warmup) / max(n_steps - warmup, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Return whether to autocast to bfloat16; `auto` does where the hardware multiplies in it."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001
