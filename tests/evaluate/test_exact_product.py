from fractions import Fraction

import pytest
import torch
from torch.nn.functional import normalize

from pickout.evaluate.metrics import GRID_BITS, ExactProduct, mix


def unit(rows: int, dimension: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


def inner_product_by_fractions(query: torch.Tensor, item: torch.Tensor) -> Fraction:
    grid = 2**GRID_BITS
    pairs = zip(query.tolist(), item.tolist(), strict=True)
    return sum((Fraction(round(a * grid), grid) * Fraction(round(b * grid), grid) for a, b in pairs), Fraction(0))


def test_products_of_unit_vectors_carry_no_rounding_error():
    queries, gallery = unit(3, 700, 0), unit(4, 700, 1)
    product = ExactProduct(queries, gallery).rows(0, 3)
    for q in range(3):
        for g in range(4):
            assert Fraction(float(product[q, g])) == inner_product_by_fractions(queries[q], gallery[g])


def test_a_vector_with_itself_stays_exact_at_the_largest_score():
    vectors = unit(5, 4608, 2)
    product = ExactProduct(vectors, vectors).rows(0, 5)
    for q in range(5):
        assert Fraction(float(product[q, q])) == inner_product_by_fractions(vectors[q], vectors[q])


def test_scores_are_the_ordinary_inner_products_to_float32_precision():
    queries, gallery = unit(20, 512, 3), unit(30, 512, 4)
    product = mix([ExactProduct(queries, gallery).rows(0, 20)], [1.0])
    assert product.dtype == torch.float32
    torch.testing.assert_close(product.double(), queries.double() @ gallery.double().T, atol=1e-7, rtol=0)


def test_long_and_short_vectors_are_scored_too():
    queries, gallery = 300 * unit(4, 64, 5), 1e-6 * unit(5, 64, 6)
    expected = queries.double() @ gallery.double().T
    torch.testing.assert_close(ExactProduct(queries, gallery).rows(0, 4), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cut", [1, 3, 7, 64])
def test_no_bit_depends_on_block_shape_or_threads(cut: int, threads: int):
    queries, gallery = unit(64, 300, 7), unit(5000, 300, 8)
    whole = ExactProduct(queries, gallery).rows(0, 64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        product = ExactProduct(queries, gallery)
        pieces = [product.rows(start, min(start + cut, 64)) for start in range(0, 64, cut)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.cat(pieces), whole)


def test_no_bit_depends_on_the_gallery_around_an_item():
    queries, gallery = unit(6, 300, 9), unit(90, 300, 10)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    shuffled = ExactProduct(queries, gallery[order]).rows(0, 6)
    assert torch.equal(shuffled, ExactProduct(queries, gallery).rows(0, 6)[:, order])


def test_equal_vectors_get_equal_scores():
    queries, gallery = unit(4, 512, 11), unit(1, 512, 12).repeat(77, 1)
    product = ExactProduct(queries, gallery).rows(0, 4)
    assert torch.equal(product, product[:, :1].expand(-1, 77))


def test_a_mixture_is_the_inner_product_of_the_scaled_concatenation():
    """ITSELF, Eq. 8, as one vector: [sqrt(l) g ; sqrt(1 - l) u]."""
    g_q, u_q, g_i, u_i = (unit(n, d, 20 + n + d) for n, d in ((5, 64), (5, 200), (6, 64), (6, 200)))
    mixed = mix([ExactProduct(g_q, g_i).rows(0, 5), ExactProduct(u_q, u_i).rows(0, 5)], [0.32, 0.68])
    one = ExactProduct(
        torch.cat([0.32**0.5 * g_q, 0.68**0.5 * u_q], dim=1), torch.cat([0.32**0.5 * g_i, 0.68**0.5 * u_i], dim=1)
    )
    torch.testing.assert_close(mixed, one.rows(0, 5).float(), atol=2e-7, rtol=0)


def test_numbers_that_are_not_finite_are_refused():
    bad = unit(3, 8, 30)
    bad[1, 2] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        ExactProduct(bad, unit(2, 8, 31))


def test_different_dimensions_are_refused():
    with pytest.raises(ValueError, match="8 numbers each, the gallery 9"):
        ExactProduct(unit(3, 8, 32), unit(2, 9, 33))
