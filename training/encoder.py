"""Make the encoder of the offline default: three transformer layers on the static token vectors.

    python training/encoder.py TEXTS... --held-out DIR... --out FILE [--teacher MODEL_OR_FOLDER]

README.md beside this file tells each step. What the teacher embeds and where the training stands is
kept in `--cache`: a run that was broken off goes on where it was.
"""

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import minilm
import numpy as np
import student
import teacher
import texts
import torch
from bags import Matrix
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

VECTORS = Path(__file__).parents[1] / "flex_mcp" / "search" / "vectors"
LAYERS, HEADS, INNER, CORRECTION = 3, 8, 768, 32
DIMENSION = 128  # of the vectors: the teacher's 384 find little more
TOKENS = 128  # of the longest text: what has more is cut in training, and chunked in the product
STEP = 8  # lengths are multiples of it: for each new shape, kernels are made anew
PAIRS = 160  # a batch: so many texts, and a short one of each
TEMPERATURE = 0.05  # of the similarities within a batch
COSINE = 4.0  # how much the cosine with the teacher counts beside them
RATE, WARM, FALL = 1e-3, 200, 0.3  # the rate rises for so many steps, and falls in the last share
KEEP = 300.0  # seconds between two checkpoints


class Encoder(nn.Module):
    """Tokens to unit vectors: no biases, norms without weights, so that all are matrices.

    A token's row is the static one, fixed, and a correction of low rank.
    """

    def __init__(self, rows: Matrix, dimension: int) -> None:
        super().__init__()
        width = rows.shape[1]
        self.scale = float(1 / np.linalg.norm(rows, axis=1).mean())
        self.register_buffer("rows", torch.tensor(rows * self.scale), persistent=False)
        self.correction = nn.Embedding(len(rows), CORRECTION)
        nn.init.normal_(self.correction.weight, std=0.02)
        self.widen = _matrix(CORRECTION, width, 0.1)
        self.places = nn.Parameter(torch.randn(TOKENS, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))
        self.project = _matrix(width, dimension, 1.0)

    def forward(self, ids: Tensor) -> Tensor:
        """Unit vectors of texts, from the ids of their tokens, filled up with 0."""
        held = ids > 0
        hidden = self.rows[ids] + self.widen(self.correction(ids)) + self.places[: ids.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, held[:, None, None, :])
        mask = held[..., None].float()
        mean = (hidden.float() * mask).sum(1) / mask.sum(1).clamp(min=1)
        return functional.normalize(self.project(mean).float(), dim=-1)


class Layer(nn.Module):
    """Attention, then two matrices with a GELU between: each on what is normed before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = _matrix(width, 3 * width, 1.0)
        self.gather = _matrix(width, width, 0.1)
        self.rise = _matrix(width, INNER, 1.0)
        self.sink = _matrix(INNER, width, 0.1)

    def forward(self, hidden: Tensor, held: Tensor) -> Tensor:
        many, length, width = hidden.shape
        parts = self.look(_normed(hidden)).view(many, length, 3, HEADS, width // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        # Written out: the fused kernel's way back is ten times as slow on a processor.
        alike = query @ key.transpose(-1, -2) * (width // HEADS) ** -0.5
        seen = alike.masked_fill(~held, -1e4).softmax(-1) @ value
        hidden = hidden + self.gather(seen.transpose(1, 2).reshape(many, length, width))
        inner = functional.gelu(self.rise(_normed(hidden)), approximate="tanh")
        return hidden + self.sink(inner)


def _matrix(inputs: int, outputs: int, scale: float) -> nn.Linear:
    made = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(made.weight, std=scale * inputs**-0.5)
    return made


def _normed(hidden: Tensor) -> Tensor:
    return hidden * (hidden.float().square().mean(-1, keepdim=True) + 1e-6).rsqrt()


class Corpus:
    """Texts as tokens, each with a short one of it, and what the teacher says of both."""

    def __init__(
        self, pairs: Sequence[tuple[str, str]], known: NDArray[np.float16], tokenizer: Tokenizer
    ) -> None:
        half = len(pairs)
        self.long = _ids(tokenizer, [long for long, _ in pairs])
        self.short = _ids(tokenizer, [short for _, short in pairs])
        self.told = torch.tensor(known[:half]), torch.tensor(known[half:])
        usable = [at for at in range(half) if len(self.long[at]) > 1 and len(self.short[at]) > 1]
        self.order = sorted(usable, key=lambda at: len(self.long[at]))

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches of texts of like length and of their short ones, and the teacher's vectors."""
        chance = random.Random(seed)
        near = PAIRS * 6
        while True:
            at = chance.randrange(max(1, len(self.order) - near))
            chosen = chance.sample(self.order[at : at + near], min(PAIRS, len(self.order)))
            told = torch.cat([part[chosen] for part in self.told]).float()
            yield (
                _padded([self.long[one] for one in chosen]),
                _padded([self.short[one] for one in chosen]),
                functional.normalize(told, dim=-1),
            )


def _ids(tokenizer: Tokenizer, some: Sequence[str]) -> list[list[int]]:
    coded = tokenizer.encode_batch_fast(list(some), add_special_tokens=False)
    return [[id_ for id_ in one.ids if id_][:TOKENS] for one in coded]


def _padded(ids: Sequence[Sequence[int]]) -> Tensor:
    longest = -(-max(map(len, ids)) // STEP) * STEP
    return torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids])


def train(model: Encoder, corpus: Corpus, state: Path, *, steps: int, seed: int) -> None:
    """Bring the encoder's vectors, and their similarities within a batch, near the teacher's."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    step = _resumed(model, optimiser, state)
    kept, began, first = time.monotonic(), time.monotonic(), step
    figures: list[tuple[float, float]] = []
    low = minilm.fastest() is torch.bfloat16
    for long, short, told in corpus.batches(seed + step):
        if step >= steps:
            break
        rate = RATE * min(1.0, (step + 1) / WARM, (steps - step) / (FALL * steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            made = torch.cat([model(long), model(short)])
        near = (made * told).sum(1).mean()
        loss = _divergence(made, told) + COSINE * (1 - near)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        figures.append((loss.item(), near.item()))
        if step % 100 == 0:
            mean = np.mean(figures, axis=0)
            each = (time.monotonic() - began) / (step - first)
            print(
                f"step {step:,} of {steps:,}: loss {mean[0]:.4f}, cosine {mean[1]:.4f}, "
                f"{each:.3f} s a step",
                flush=True,
            )
            figures.clear()
        if time.monotonic() - kept > KEEP:
            _keep(model, optimiser, state, step)
            kept = time.monotonic()
    _keep(model, optimiser, state, step)


def _divergence(made: Tensor, told: Tensor) -> Tensor:
    itself = torch.eye(len(made), dtype=torch.bool)
    ours = (made @ made.T / TEMPERATURE).masked_fill(itself, -1e4)
    theirs = (told @ told.T / TEMPERATURE).masked_fill(itself, -1e4)
    return functional.kl_div(
        functional.log_softmax(ours, 1), functional.softmax(theirs, 1), reduction="batchmean"
    )


def _keep(model: nn.Module, optimiser: torch.optim.Optimizer, state: Path, step: int) -> None:
    part = state.with_suffix(".part")
    torch.save(
        {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, part
    )
    part.replace(state)


def _resumed(model: nn.Module, optimiser: torch.optim.Optimizer, state: Path) -> int:
    if not state.exists():
        return 0
    kept: dict[str, Any] = torch.load(state, weights_only=True)
    model.load_state_dict(kept["model"])
    optimiser.load_state_dict(kept["optimiser"])
    print(f"goes on from step {kept['step']:,}", flush=True)
    return int(kept["step"])


def start(model: Encoder, corpus: Corpus) -> None:
    """The projection that brings the mean of the static rows nearest to the teacher's vectors."""
    some = random.Random(1).sample(corpus.order, min(20_000, len(corpus.order)))
    means = torch.stack([model.rows[corpus.long[at]].mean(0) for at in some])
    ridge = means.T @ means + 0.1 * torch.eye(means.shape[1])
    found = torch.linalg.solve(ridge, means.T @ corpus.told[0][some].float())
    model.project.weight.data = found.T.contiguous()


def narrow(model: Encoder, told: Tensor) -> None:
    """Leave the vectors only the directions in which the teacher's differ most."""
    _, axes = torch.linalg.eigh(told.T @ told)
    model.project.weight.data = axes[:, -DIMENSION:].T @ model.project.weight.data


def write(path: Path, model: Encoder, version: str, teacher_: str) -> None:
    """The file that the product reads: each matrix in 8 bits, with a scale a row."""
    about = {"version": version, "teacher": teacher_, "layers": str(LAYERS)}
    about["scale"] = repr(model.scale)
    matrices = {"correction": model.correction.weight, "places": model.places}
    matrices |= {"widen": model.widen.weight, "project": model.project.weight}
    for number, layer in enumerate(model.layers):
        for name in ("look", "gather", "rise", "sink"):
            matrices[f"{name}{number}"] = getattr(layer, name).weight
    header: dict[str, Any] = {"__metadata__": dict(about)}
    data = b""
    for name, matrix in matrices.items():
        small, scales = student.quantised(matrix.detach().numpy())
        for key, kind, array in ((f"{name}_scales", "F32", scales), (name, "I8", small)):
            place = [len(data), len(data) + array.nbytes]
            header[key] = {"dtype": kind, "shape": array.shape, "data_offsets": place}
            data += array.tobytes()
    student.pack(path, header, data)


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.workers)
    tokenizer = Tokenizer.from_file(str(VECTORS / "tokenizer.json"))
    rows, _ = student.read(VECTORS / "vectors.safetensors")
    pairs = _pairs(arguments.texts, arguments.held_out, arguments.most, arguments.seed)
    wanted = [long for long, _ in pairs] + [short for _, short in pairs]
    known = teacher.embed(
        list(dict.fromkeys(wanted)),
        teacher.opened(arguments.teacher, fast=Path(arguments.teacher).is_dir()),
        arguments.cache,
        workers=1,
    )
    place = {text: at for at, text in enumerate(dict.fromkeys(wanted))}
    corpus = Corpus(pairs, known[[place[text] for text in wanted]], tokenizer)
    model = Encoder(rows, known.shape[1])
    start(model, corpus)
    train(model, corpus, arguments.cache / "encoder.pt", steps=arguments.steps, seed=arguments.seed)
    narrow(model, corpus.told[0].float())
    write(arguments.out, model, arguments.version, teacher.named(arguments.teacher))


def _pairs(
    folders: Sequence[Path], held_out: Sequence[Path], most: int, seed: int
) -> list[tuple[str, str]]:
    out = texts.held_out(texts.everything(held_out))
    chance = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    for folder in folders:
        kept, dropped = texts.keep(texts.read(folder), out)
        print(f"{len(kept):,} texts, {dropped:,} dropped for what they share with the held-out")
        found = texts.pairs(kept, seed)
        pairs += chance.sample(found, min(most, len(found)))
    return pairs


def _arguments() -> argparse.Namespace:
    parser = teacher.parser(__doc__ or "")
    add = parser.add_argument
    add("--most", type=int, default=65_000, metavar="N", help="texts of each of TEXTS, by chance")
    add("--steps", type=int, default=4_800)
    return parser.parse_args()


if __name__ == "__main__":
    main()
