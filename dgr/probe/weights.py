"""How far and in how many directions training changed the weights: a full checkpoint or merged adapters alike."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dgr.probe.intervals import rounded

if TYPE_CHECKING:
    import torch

    from dgr.model import TargetModel


def parameters(target: "TargetModel") -> dict[str, "torch.Tensor"]:
    """Every parameter once, in float32 whatever the target computes in: bfloat16 would round small changes away."""
    return dict(target.load_model("float32", placed=False).named_parameters())


def singular_values(matrix: "torch.Tensor") -> np.ndarray:
    """Largest first, through the Gram matrix in double precision: exact enough down to 1e-7 of the largest."""
    import torch

    wide = matrix.double() if matrix.shape[0] <= matrix.shape[1] else matrix.double().T
    squares = torch.linalg.eigvalsh(wide @ wide.T).clamp(min=0).flip(0)
    values = squares.sqrt().cpu().numpy()
    return np.where(values < 1e-7 * values[:1], 0.0, values)


def effective_rank(values: np.ndarray) -> float:
    """exp(H) of the singular values as shares of their sum (Roy and Vetterli 2007); 0 for a zero matrix."""
    total = values.sum()
    shares = values[values > 0] / total if total else np.array([])
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def changes(before: Mapping[str, "torch.Tensor"], after: Mapping[str, "torch.Tensor"]) -> list[dict[str, Any]]:
    """One row a parameter: `norm` of its change, `weights` its own norm, and for a matrix the singular values.

    ValueError where the two are no versions of one model.
    """
    import torch

    different = sorted(name for name in before.keys() | after.keys() if _shape(before, name) != _shape(after, name))
    if different:
        raise ValueError(f"the trained model has other weights than the target: {', '.join(different[:5])}")
    with torch.no_grad():
        return list(_rows(before, after, "cuda" if torch.cuda.is_available() else "cpu"))


def _rows(before: Mapping, after: Mapping, device: str) -> Iterator[dict[str, Any]]:
    for name, old in before.items():
        change = after[name].to(device).double() - old.to(device).double()
        values = singular_values(change) if change.dim() == 2 else np.array([])
        yield {"name": name, "norm": float(change.norm()), "weights": float(old.double().norm()), "values": values}


def _shape(weights: Mapping, name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Norm relative to the weights and effective rank, in total and by module (all layers' together).

    The rank of several matrices is that of the block-diagonal one that they make: their singular values in one list.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(module(row["name"]), []).append(row)
    return {"total": _of(rows), "modules": {name: _of(group) for name, group in groups.items()}}


def module(name: str) -> str:
    """q_proj of model.layers.3.self_attn.q_proj.weight."""
    return name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]


def _of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    matrices = [row["values"] for row in rows if len(row["values"])]
    values = np.concatenate(matrices) if matrices else np.array([])
    whole = np.sqrt(sum(row["weights"] ** 2 for row in rows))
    return {
        "relative_norm": rounded(np.sqrt(sum(row["norm"] ** 2 for row in rows)) / whole) if whole else None,
        "effective_rank": rounded(effective_rank(values)) if matrices else None,
        "full_rank": len(values),
        "matrices": len(matrices),
    }


def detail(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is written."""
    values = row["values"]
    return {
        "name": row["name"],
        "relative_norm": rounded(row["norm"] / row["weights"]) if row["weights"] else None,
        "effective_rank": rounded(effective_rank(values)) if len(values) else None,
        "full_rank": len(values),
    }
