"""Find each row's most similar rows in a sparse matrix, and turn their similarities into weights.

A weight leads from a source to a target. For items the source is an item that the user has interacted with, and the
target is the item that is scored. For users the source is the user whose items are recommended, and the target is the
user whom they are recommended to.

Shapes: R rows that are compared, F features, N pairs of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from recrun.architectures.sparse import Progress, largest_of_product, largest_per_row, scale_rows
from recrun.errors import ConfigError, Fault
from recrun.types import Annotated, AppliesIf, Default, NonNegativeFloat, PositiveInt, UnitInterval

Measure = Literal["cosine", "dot", "asymmetric", "pearson", "tversky", "dice", "jaccard"]
FeatureWeights = Literal["none", "tfidf", "bm25"]
End = Literal["source", "target"]
Kept = Literal["source", "target", "both"]

_OF_SETS: Final = ("pearson", "tversky", "dice", "jaccard")
_OWNERS: Final = {"asymmetric_alpha": "asymmetric", "tversky_alpha": "tversky", "tversky_beta": "tversky"}
"""Settings of one measure only."""


class NeighborSettings(TypedDict, total=False):
    """Settings of models of nearest neighbours.

    Args:
        n_neighbors: how many similar ones are kept for each.
        measure: similarity of a source s and a target t, with s·t their (weighted) number of common features:
            "cosine" s·t / |s||t|; "dot" s·t; "asymmetric" s·t / |t|^2a |s|^2(1-a) with a = `asymmetric_alpha`;
            "pearson" the correlation over all features, of which only positive ones are kept; "tversky"
            s·t / (s·t + `tversky_alpha` |t without s| + `tversky_beta` |s without t|); "dice"
            2 s·t / (|t|^2 + |s|^2); "jaccard" s·t / |t or s|.
        shrink: added to the denominator, which favours similarities based on many common features; not for "dot".
        asymmetric_alpha: for "asymmetric"; default 0.5, the cosine.
        tversky_alpha: for "tversky", default 1.
        tversky_beta: for "tversky", default 1.
        feature_weights: "tfidf" multiplies each feature by log(1 + R / n), for R rows of which n have it; "bm25" by
            log(1 + (R - n + 0.5) / (n + 0.5)) (k1 + 1) / (k1 (1 - b + b length / mean length) + 1), for a row with
            `length` features. Not for pearson, tversky, dice and jaccard.
        bm25_k1: for "bm25", default 1.2.
        bm25_b: for "bm25", default 0.75; how much long rows are weighted down. The cosine without `shrink` depends on
            neither of the two.
    """

    n_neighbors: Annotated[PositiveInt, Default(100)]
    measure: Annotated[
        Literal["cosine", "dot", "asymmetric", "pearson", "tversky", "dice", "jaccard"], Default("cosine")
    ]
    shrink: Annotated[NonNegativeFloat, Default(0.0), AppliesIf("measure != 'dot'", "measure dot has no denominator")]
    asymmetric_alpha: Annotated[
        UnitInterval | None, Default(None), AppliesIf("measure == 'asymmetric'", "it is for measure asymmetric")
    ]
    tversky_alpha: Annotated[
        NonNegativeFloat | None, Default(None), AppliesIf("measure == 'tversky'", "it is for measure tversky")
    ]
    tversky_beta: Annotated[
        NonNegativeFloat | None, Default(None), AppliesIf("measure == 'tversky'", "it is for measure tversky")
    ]
    feature_weights: Annotated[
        Literal["none", "tfidf", "bm25"],
        Default("none"),
        AppliesIf("measure not in ['pearson', 'tversky', 'dice', 'jaccard']", "measure {measure} compares sets"),
    ]
    bm25_k1: Annotated[
        NonNegativeFloat | None, Default(None), AppliesIf("feature_weights == 'bm25'", "it is for feature_weights bm25")
    ]
    bm25_b: Annotated[
        UnitInterval | None, Default(None), AppliesIf("feature_weights == 'bm25'", "it is for feature_weights bm25")
    ]


@dataclass(frozen=True)
class Neighbors:
    """Which rows are neighbours, and how similar they are; see `NeighborSettings`.

    *Source:* Aiolli, "Efficient Top-N Recommendation for Very Large Scale Binary Rated Datasets", RecSys 2013, for the
    asymmetric cosine; Tversky, "Features of Similarity", Psychological Review 1977; Robertson, Zaragoza, "The
    Probabilistic Relevance Framework: BM25 and Beyond", 2009, equation 3.15, with 1 added in the logarithm, so that no
    weight is negative.

    Raises:
        ConfigError: a setting does not go with the measure or the weights of features.
    """

    n_neighbors: int = 100
    measure: Measure = "cosine"
    shrink: float = 0.0
    asymmetric_alpha: float | None = None
    tversky_alpha: float | None = None
    tversky_beta: float | None = None
    feature_weights: FeatureWeights = "none"
    bm25_k1: float | None = None
    bm25_b: float | None = None

    def __post_init__(self) -> None:
        measure, weights = self.measure, self.feature_weights
        wrong = (
            ("shrink", self.shrink > 0 and measure == "dot", "measure dot has no denominator; expected 0"),
            *(
                (key, getattr(self, key) is not None and measure != owner, _only("measure", measure, owner))
                for key, owner in _OWNERS.items()
            ),
            (
                "feature_weights",
                weights != "none" and measure in _OF_SETS,
                f"measure {measure} compares sets; expected none, or measure cosine, dot or asymmetric",
            ),
            ("bm25_k1", self.bm25_k1 is not None and weights != "bm25", _only("feature_weights", weights, "bm25")),
            ("bm25_b", self.bm25_b is not None and weights != "bm25", _only("feature_weights", weights, "bm25")),
        )
        faults = [Fault(f"{text}, found {getattr(self, key)}", key=key) for key, is_wrong, text in wrong if is_wrong]
        if faults:
            raise ConfigError(faults)

    def weights(
        self,
        vectors: sparse.csr_matrix,
        neighbors_of: Kept,
        *,
        normalize: End | None = None,
        progress: Progress | None = None,
    ) -> sparse.csr_matrix:
        """Return the weights (R, R) from sources (rows) to targets (columns).

        Args:
            vectors: float32 (R, F), 1 where the row has the feature.
            neighbors_of: whose largest similarities are kept; see `directed_weights`.
            normalize: divide the kept similarities of each source, or of each target, by their sum.
            progress: called with the number of rows done and R.
        """
        rows_are: End = "target" if neighbors_of == "target" else "source"
        found = self.nearest(vectors, rows_are=rows_are, progress=progress)
        return directed_weights(found, self.n_neighbors, neighbors_of, normalize=normalize)

    def nearest(
        self, vectors: sparse.csr_matrix, *, rows_are: End = "target", progress: Progress | None = None
    ) -> sparse.csr_matrix:
        """Return the most similar other rows of each row, (R, R) with up to `n_neighbors` entries above 0 in a row.

        Args:
            vectors: float32 (R, F), 1 where the row has the feature.
            rows_are: which of the two the rows of the result are; the columns are the other.
            progress: called with the number of rows done and R.
        """
        weighted = self._weighted(vectors, vectors)
        squares = _squares(weighted)
        weigh = self._weigh(squares, squares, vectors.shape[1], rows_are)
        return largest_of_product(weighted, weighted.T.tocsr(), self.n_neighbors, weigh=weigh, progress=progress)

    def compared(self, known: sparse.csr_matrix) -> Compared:
        """Return rows (R, F), 1 where they have a feature, prepared for `similarities` of others to them."""
        weighted = self._weighted(known, known)
        return Compared(known, weighted.T.tocsr(), _squares(weighted))

    def similarities(self, new: sparse.csr_matrix, compared: Compared, n_kept: int) -> sparse.csr_matrix:
        """Return the similarities (B, R) of new rows, as targets, to known ones, as sources.

        Features are weighted as among the known rows, of which none counts as the same row as a new one.

        Args:
            new: float32 (B, F), 1 where the row has the feature.
            compared: the known rows.
            n_kept: how many of the largest entries above 0 are kept of each row.
        """
        weighted = self._weighted(new, compared.known)
        weigh = self._weigh(_squares(weighted), compared.squares, new.shape[1], "target")
        return largest_of_product(weighted, compared.weighted_T, n_kept, weigh=weigh, without_diagonal=False)

    def _weighted(self, vectors: sparse.csr_matrix, known: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return vectors (B, F) with their features weighted by how many of the known ones (R, F) have them."""
        if self.feature_weights == "none":
            return vectors
        n_vectors, n_features = known.shape
        n_rows = np.maximum(np.bincount(known.indices, minlength=n_features), 1)
        if self.feature_weights == "tfidf":
            inverse_frequencies = np.log1p(n_vectors / n_rows).astype(np.float32)
        else:
            inverse_frequencies = np.log1p((n_vectors - n_rows + 0.5) / (n_rows + 0.5)).astype(np.float32)
            k1, b = _or_default(self.bm25_k1, 1.2), _or_default(self.bm25_b, 0.75)
            lengths, mean_length = np.diff(vectors.indptr), np.diff(known.indptr).mean()
            vectors = scale_rows(vectors, (k1 + 1) / (k1 * (1 - b + b * lengths / max(mean_length, 1e-9)) + 1))
        values = vectors.data * inverse_frequencies[vectors.indices]
        return sparse.csr_matrix((values, vectors.indices, vectors.indptr), shape=vectors.shape)

    def _weigh(
        self, of_rows: NDArray[Any], of_columns: NDArray[Any], n_features: int, rows_are: End
    ) -> Callable[..., NDArray[Any]]:
        """Return the function that computes similarities (N,) from products (N,), rows (N,) and columns (N,).

        Args:
            of_rows: the squared norms of what is in the rows.
            of_columns: the squared norms of what is in the columns.
            n_features: F.
            rows_are: which of the two the rows are.
        """
        measure, shrink, power = self.measure, self.shrink, _or_default(self.asymmetric_alpha, 0.5)
        alpha, beta = _or_default(self.tversky_alpha, 1.0), _or_default(self.tversky_beta, 1.0)
        row_norms, column_norms = np.sqrt(of_rows), np.sqrt(of_columns)
        row_deviations, column_deviations = (_deviations(each, n_features) for each in (of_rows, of_columns))
        of_targets, of_sources = (of_rows, of_columns) if rows_are == "target" else (of_columns, of_rows)
        target_powers, source_powers = of_targets**power, of_sources ** (1 - power)

        def weigh(products: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
            targets, sources = (rows, columns) if rows_are == "target" else (columns, rows)
            match measure:
                case "dot":
                    return products
                case "cosine":
                    divisors = _take(column_norms, columns)
                    divisors *= _take(row_norms, rows)
                case "asymmetric":
                    divisors = _take(target_powers, targets) * _take(source_powers, sources)
                case "pearson":
                    # A row with all features does not vary; the numerator is then 0 as well.
                    divisors = _take(row_deviations, rows) * _take(column_deviations, columns)
                    divisors[divisors == 0] = 1
                    products = (
                        products - _take(of_rows, rows).astype(np.float64) * _take(of_columns, columns) / n_features
                    )
                case "tversky":
                    only = alpha * (_take(of_targets, targets) - products) + beta * (
                        _take(of_sources, sources) - products
                    )
                    divisors = products + only
                case "dice":
                    divisors, products = _take(of_rows, rows) + _take(of_columns, columns), 2 * products
                case "jaccard":
                    divisors = _take(of_rows, rows) + _take(of_columns, columns) - products
            return np.asarray(products / (divisors + shrink if shrink else divisors))

        return weigh


@dataclass(frozen=True, eq=False)
class Compared:
    """Rows that others are compared with.

    Args:
        known: float32 (R, F), 1 where a row has the feature.
        weighted_T: the same with its features weighted, transposed (F, R).
        squares: the squared norms of the weighted rows (R,).
    """

    known: sparse.csr_matrix
    weighted_T: sparse.csr_matrix
    squares: NDArray[Any]


def directed_weights(
    nearest: sparse.csr_matrix, n_neighbors: int, neighbors_of: Kept, *, normalize: End | None = None
) -> sparse.csr_matrix:
    """Return weights (R, R) from sources (rows) to targets (columns).

    Args:
        nearest: (R, R), the largest weights of each source in its row, or, for "target", of each target in its row.
        n_neighbors: how many weights of each row were kept.
        neighbors_of: whose largest weights are kept; for "both" those of each source, and then, after normalizing,
            of these the largest of each target.
        normalize: divide the weights of each source, or of each target, by their sum.
    """
    weights = nearest.T.tocsr() if neighbors_of == "target" else nearest
    if normalize == "source":
        weights = scale_rows(weights, _inverse_sums(weights, axis=1))
    elif normalize == "target":
        values = weights.data * _inverse_sums(weights, axis=0)[weights.indices]
        weights = sparse.csr_matrix((values, weights.indices, weights.indptr), shape=weights.shape)
    if neighbors_of == "both":
        weights = largest_per_row(weights.T.tocsr(), n_neighbors).T.tocsr()
    return weights


def _squares(weighted: sparse.csr_matrix) -> NDArray[Any]:
    """Return the squared norms of rows, float32 (R,)."""
    return np.asarray(weighted.power(2).sum(1), dtype=np.float32).ravel()


def _deviations(squares: NDArray[Any], n_features: int) -> NDArray[Any]:
    """Return the standard deviations, times the root of F, of rows of zeros and ones with these squared norms (R,)."""
    return np.asarray(np.sqrt(squares * np.maximum(1 - squares.astype(np.float64) / max(1, n_features), 0)))


def _inverse_sums(weights: sparse.csr_matrix, axis: int) -> NDArray[Any]:
    """Return 1 / the sum of each row (axis 1) or column (axis 0), and 1 where the sum is 0."""
    totals = np.asarray(weights.sum(axis)).ravel()
    inverse: NDArray[Any] = 1 / np.where(totals > 0, totals, 1)
    return inverse


def _take(values: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Return `values[places]`; torch takes half of numpy's time, which first copies the places as 64-bit integers."""
    taken: NDArray[Any] = torch.from_numpy(values).index_select(0, torch.from_numpy(places)).numpy()
    return taken


def _only(key: str, value: str, needed: str) -> str:
    """Return that a setting has no effect with the value of another, and with which it has."""
    return f"has no effect with {key} {value}; expected null, or {key} {needed}"


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value
