"""The fused activation unit equals the plain formula: values, gradients, running statistics."""

from __future__ import annotations

import copy
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from din_core.network import kernels
from din_core.network.kernels import build
from din_core.network.kernels import fused as fused_units
from din_core.network.layers.attention import ActivationUnit, plain_formula
from din_core.network.layers.dice import ActivationName, Dice

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]

needs_kernel = pytest.mark.skipif(
    not kernels.available(), reason=f"the plain formula runs here: {kernels.why_not()}"
)
needs_bfloat16 = pytest.mark.skipif(
    not kernels.multiplies_in_bfloat16(), reason="no bfloat16 products on this processor"
)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _small_batches_too(monkeypatch):
    """Let the kernel run on the few samples that these tests can afford."""
    monkeypatch.setattr(fused_units, "FEWEST_SAMPLES", 0)


def make_unit(
    dim: int, dims: tuple[int, ...], activation: ActivationName, position_bias: int = 0
) -> ActivationUnit:
    torch.manual_seed(1)
    unit = ActivationUnit(dim, dims, activation, position_bias=position_bias)
    with torch.no_grad():
        if unit.position_bias is not None:
            unit.position_bias.uniform_(-1.0, 1.0)
        for layer in unit.mlp.activations:
            if isinstance(layer, Dice):
                layer.alpha.uniform_(-0.3, 0.5)
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2.0)
    return unit


def make_inputs(lengths: list[int], dim: int, scale: float = 1.0) -> Inputs:
    generator = torch.Generator().manual_seed(2)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    row = torch.repeat_interleave(torch.arange(len(lengths)), offsets.diff())
    target = scale * (0.3 + torch.randn(len(lengths), dim, generator=generator))
    history = scale * (torch.randn(len(row), dim, generator=generator) - 0.2)
    return target, history, row, offsets


def gradients(unit: ActivationUnit, inputs: Inputs, dtype: torch.dtype) -> dict[str, Tensor]:
    """Everything a training step takes from a unit, by name."""
    unit = copy.deepcopy(unit).to(dtype)
    target, history = (x.to(dtype, copy=True).requires_grad_() for x in inputs[:2])
    pooled = unit(target, history, *inputs[2:])
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(3))
    (pooled * weights.to(dtype)).sum().backward()
    found = {"pooled": pooled.detach(), "target": target.grad, "history": history.grad}
    found |= {name: p.grad for name, p in unit.named_parameters() if p.grad is not None}
    return found | dict(unit.named_buffers())


def fused(unit: ActivationUnit, precision: kernels.KernelPrecision = "float32") -> ActivationUnit:
    unit = copy.deepcopy(unit)
    assert kernels.use_fused_units(unit, precision) == 1
    return unit


def assert_close(
    ours: dict[str, Tensor], reference: dict[str, Tensor], tolerance: float, floor: float = 1e-9
) -> None:
    """Compare by the length of the difference, relative to the length of the reference."""
    assert ours.keys() == reference.keys()
    for name, expected in reference.items():
        difference = (ours[name].double() - expected.double()).norm()
        assert difference <= tolerance * expected.double().norm() + floor, (name, difference)


LENGTHS = [3, 0, 50, 1, 7, 0, 12, 33, 0, 90, 41, 5, 28, 0]  # spans chunks; empty ones at the end


@needs_kernel
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["dice", "prelu", "relu"])
@pytest.mark.parametrize(("dim", "dims"), [(8, (256, 128)), (5, (36, 20)), (64, (64, 32))])
def test_float32_equals_the_plain_formula_in_float64(dim, dims, activation, training):
    unit = make_unit(dim, dims, activation).train(training)
    inputs = make_inputs(LENGTHS, dim)
    reference = gradients(unit, inputs, torch.float64)
    assert_close(gradients(fused(unit), inputs, torch.float32), reference, 1e-5)


@needs_kernel
@pytest.mark.parametrize("training", [True, False])
def test_biases_of_positions_are_added_beside_the_kernel(training):
    unit = make_unit(8, (36, 20), "dice", position_bias=30).train(training)
    inputs = make_inputs(LENGTHS, 8)
    reference = gradients(unit, inputs, torch.float64)
    ours = fused(unit)
    assert_close(gradients(ours, inputs, torch.float32), reference, 1e-5)
    pooled, sums = ours.with_sum(*inputs)
    expected, expected_sums = unit.with_sum(*inputs)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sums, expected_sums)


@needs_kernel
@needs_bfloat16
@pytest.mark.parametrize(("activation", "tolerance"), [("dice", 0.02), ("relu", 0.05)])
def test_bfloat16_differs_by_its_rounding(activation, tolerance):
    unit, inputs = make_unit(8, (256, 128), activation), make_inputs(LENGTHS, 8)
    reference = gradients(unit, inputs, torch.float64)
    ours = gradients(fused(unit, "bfloat16"), inputs, torch.float32)
    assert_close(ours, reference, tolerance)


@needs_kernel
def test_tiny_fresh_embeddings_are_normalised_exactly():
    """Embeddings of 1e-4 give variances near eps beside biases of 0.3: the hard case of Dice."""
    unit, inputs = make_unit(8, (32, 16), "dice"), make_inputs(LENGTHS, 8, scale=1e-4)
    reference = gradients(unit, inputs, torch.float64)
    assert_close(gradients(fused(unit), inputs, torch.float32), reference, 1e-4)


@needs_kernel
@pytest.mark.parametrize("name", ["mlp.layers.0.weight", "mlp.activations.0.alpha", "history"])
def test_gradient_equals_difference_quotient(name):
    """Independently of autograd: the loss really changes at the rate that backward says."""
    unit, (target, history, row, offsets) = make_unit(4, (16, 16), "dice"), make_inputs([5, 9], 4)
    unit = fused(unit)
    found = gradients(unit, (target, history, row, offsets), torch.float32)
    at = dict(unit.named_parameters()).get(name, history).data
    weights = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))
    direction = found[name] / found[name].norm()
    with torch.no_grad():
        at += 1e-2 * direction
        after = (unit(target, history, row, offsets) * weights).sum().double()
        at -= 2e-2 * direction
        before = (unit(target, history, row, offsets) * weights).sum().double()
    assert ((after - before) / 2e-2).item() == pytest.approx(found[name].norm().item(), rel=1e-2)


@needs_kernel
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0], [1], [0, 1, 0], [2], [300]])
@pytest.mark.parametrize("training", [True, False])
def test_few_positions_and_samples(lengths, training):
    unit = make_unit(8, (32, 16), "dice").train(training)
    inputs = make_inputs(lengths, 8)
    reference = gradients(unit, inputs, torch.float64)
    # With one or two positions Dice divides next to nothing by sqrt(eps), which costs digits.
    ours = gradients(fused(unit), inputs, torch.float32)
    assert_close(ours, reference, 1e-4, floor=1e-4 if len(inputs[1]) < 3 else 1e-9)


@needs_kernel
@pytest.mark.parametrize("activation", ["dice", "relu"])
def test_histories_are_added_up_beside_the_pooling(activation):
    unit, (target, history, row, offsets) = (
        make_unit(5, (36, 20), activation),
        make_inputs([3, 0, 9], 5),
    )
    found = {}
    for name, each in (("fused", fused(unit)), ("plain", copy.deepcopy(unit))):
        h = history.clone().requires_grad_()
        pooled, total = each.with_sum(target, h, row, offsets)
        (pooled.sum() + (total * torch.arange(15.0).view(3, 5)).sum()).backward()
        found[name] = (pooled.detach(), total.detach(), h.grad)
    for ours, plain in zip(*found.values(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@needs_kernel
def test_row_numbers_of_another_width_are_not_misread():
    unit = fused(make_unit(4, (32, 16), "dice"))
    target, history, row, offsets = make_inputs([3, 0, 5, 2], 4)
    narrow = unit(target, history, row.int(), offsets)
    assert torch.equal(narrow, unit(target, history, row, offsets))


@needs_kernel
def test_equal_positions_have_no_variance_and_stay_finite():
    unit = make_unit(8, (32, 16), "dice")
    target, history, row, offsets = make_inputs([4, 4], 8)
    inputs = target[:1].expand(2, 8), history[:1].expand(8, 8), row, offsets
    for precision in ("float32", "bfloat16"):
        found = gradients(fused(unit, precision), inputs, torch.float32)
        assert all(value.isfinite().all() for value in found.values())


@needs_kernel
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n_samples", [1, 40])
def test_inputs_that_vary_in_one_direction_only_stay_finite(seed, n_samples, monkeypatch):
    # Every position holds one of two values, every candidate is the same: most channels of the
    # first layer hardly move, and rounding made some variances negative.
    monkeypatch.setattr(fused_units, "FEWEST_SAMPLES", 16)
    torch.manual_seed(seed)
    plain = ActivationUnit(8, (256, 128), "dice")
    target = torch.randn(1, 8).expand(n_samples, 8)
    history = torch.randn(2, 8).repeat(20 * n_samples, 1)
    row = torch.arange(n_samples).repeat_interleave(40)
    inputs = target, history, row, torch.arange(n_samples + 1) * 40
    ours = fused(copy.deepcopy(plain))
    assert torch.isfinite(ours(*inputs)).all()
    assert all((d.running_var >= 0).all() for d in ours.mlp.activations if isinstance(d, Dice))
    if n_samples == 1:  # where the plain formula stands in
        assert torch.equal(ours(*inputs), plain(*inputs))


@needs_kernel
def test_nan_is_passed_on():
    unit, (target, history, row, offsets) = make_unit(8, (32, 16), "relu"), make_inputs([3, 2], 8)
    history[4, 0] = torch.nan
    pooled = fused(unit)(target, history, row, offsets)
    assert pooled[0].isfinite().all()
    assert pooled[1].isnan().all()


@needs_kernel
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_results_depend_neither_on_the_number_of_threads_nor_on_their_timing(precision):
    unit = fused(make_unit(8, (256, 128), "dice"), precision)
    inputs = make_inputs(LENGTHS * 4, 8)
    found: list[dict[str, Tensor]] = []
    for threads in (1, 2, 2, 5):
        torch.set_num_threads(threads)
        found.append(gradients(unit, inputs, torch.float32))
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in other)


@needs_kernel
def test_two_graphs_of_one_unit_keep_apart():
    unit, one, other = (
        fused(make_unit(8, (32, 16), "dice")),
        *(make_inputs(lengths, 8) for lengths in ([5, 30], [40, 2, 7])),
    )
    expected = gradients(unit, one, torch.float32)
    history = one[1].clone().requires_grad_()
    pooled = unit(one[0], history, *one[2:])
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(3))
    unit(*other).sum().backward()
    (pooled * weights).sum().backward(retain_graph=True)
    assert torch.equal(history.grad, expected["history"])
    unit(*other).sum().backward()
    (pooled * weights).sum().backward()
    assert torch.equal(history.grad, 2 * expected["history"])


@needs_kernel
@pytest.mark.parametrize(
    ("dims", "activation", "use_softmax"),
    [((16, 8), "dice", True), ((16,), "dice", False), ((16, 8), "sigmoid", False)],
)
def test_units_it_was_not_made_for_keep_the_plain_formula(dims, activation, use_softmax, caplog):
    unit = ActivationUnit(4, dims, activation, use_softmax)
    with caplog.at_level("INFO"):
        assert kernels.use_fused_units(unit) == 0
    assert "plain formula" in caplog.text
    assert unit.kernel is None


@needs_kernel
def test_float64_inputs_take_the_plain_formula():
    unit, inputs = make_unit(4, (16, 8), "dice").eval().double(), make_inputs([3, 2], 4)
    inputs = inputs[0].double(), inputs[1].double(), *inputs[2:]
    expected = unit(*inputs)
    unit.kernel = kernels.FusedKernel()
    assert torch.equal(unit(*inputs), expected)


@needs_kernel
def test_autocast_leaves_the_kernel_in_its_own_precision():
    unit, inputs = fused(make_unit(8, (32, 16), "dice")), make_inputs(LENGTHS, 8)
    expected = gradients(unit, inputs, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(unit, inputs, torch.float32)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@needs_kernel
def test_fused_model_can_be_copied_pickled_and_drawn_plain():
    unit, inputs = fused(make_unit(4, (16, 8), "dice").eval()), make_inputs([3, 2], 4)
    expected = unit(*inputs)
    assert torch.equal(pickle.loads(pickle.dumps(unit))(*inputs), expected)
    with plain_formula(unit):
        assert unit.kernel is None


def test_missing_compiler_is_said_and_the_plain_formula_runs(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    unit, inputs = make_unit(4, (16, 8), "dice").eval(), make_inputs([3, 2], 4)
    expected = unit(*inputs)
    cache = tmp_path / "cache"
    assert not kernels.available(cache)
    assert "no C++ compiler on the PATH" in str(kernels.why_not(cache))
    with caplog.at_level("WARNING"):
        assert kernels.use_fused_units(unit, cache_dir=cache) == 0
    assert "no C++ compiler on the PATH" in caplog.text
    assert torch.equal(unit(*inputs), expected)


def test_failing_compiler_is_quoted(monkeypatch, tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'cannot open the licence' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "cannot open the licence" in str(kernels.why_not(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_other_processors_are_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(build.platform, "machine", lambda: "arm64")
    assert "arm64" in str(kernels.why_not(tmp_path))


@pytest.fixture
def compiled(monkeypatch, tmp_path) -> list[Path]:
    """Put the library of this machine in the place of a compilation, and count."""
    library = Path(build.load()._name)
    made: list[Path] = []

    def copy_library(_: str, to: Path) -> None:
        shutil.copyfile(library, to)
        made.append(to)

    monkeypatch.setattr(build, "compile_library", copy_library)
    return made


@needs_kernel
def test_compiled_once_and_found_again(compiled, tmp_path):
    for _ in range(2):
        build.load.cache_clear()
        assert kernels.available(tmp_path)
    assert len(compiled) == 1
    assert list(tmp_path.iterdir()) == compiled


@needs_kernel
def test_unwritable_cache_folder_does_not_stop_it(compiled, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert kernels.available(tmp_path / "file" / "cache")
    assert len(compiled) == 1
    assert not compiled[0].parent.exists()


@needs_kernel
def test_cache_folder_is_the_users_alone(compiled, tmp_path):
    assert kernels.available(tmp_path / "new" / "cache")
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o700


def folder_for_all(cache, library):
    cache.chmod(0o777)


def folder_of_the_group(cache, library):
    cache.chmod(0o770)


def linked_folder(cache, library):
    cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to(cache.with_name("elsewhere"))


def file_for_all(cache, library):
    library.chmod(0o666)


def linked_file(cache, library):
    library.rename(library.with_suffix(".real"))
    library.symlink_to(library.with_suffix(".real"))


def link_to_nothing(cache, library):
    library.unlink()
    library.symlink_to(cache / "not there")


UNSAFE = {
    folder_for_all: r"cache may be written by others \(mode 0777\)",
    folder_of_the_group: r"cache may be written by others \(mode 0770\)",
    linked_folder: "cache is a link",
    file_for_all: r"\.so may be written by others \(mode 0666\)",
    linked_file: r"\.so is a link",
    link_to_nothing: r"\.so is a link",
}


@needs_kernel
def test_units_multiply_in_bfloat16_only_where_that_is_faster():
    # With AMX a product of two numbers in bfloat16 takes the time of two in float32.
    information = Path("/proc/cpuinfo")
    has_amx = information.exists() and "amx_bf16" in information.read_text().split()
    is_faster = kernels.multiplies_in_bfloat16() and not has_amx
    assert kernels.faster_precision("bfloat16") == ("bfloat16" if is_faster else "float32")
    assert kernels.faster_precision("float32") == "float32"


@needs_kernel
@pytest.mark.parametrize("change", UNSAFE, ids=lambda each: each.__name__)
def test_what_others_may_have_written_is_not_run(compiled, tmp_path, caplog, change):
    cache = tmp_path / "cache"
    assert kernels.available(cache)
    change(cache, compiled[0])
    build.load.cache_clear()
    unit, inputs = make_unit(4, (16, 8), "dice").eval(), make_inputs([3, 2], 4)
    expected = unit(*inputs)
    with caplog.at_level("WARNING"):
        assert kernels.use_fused_units(unit, cache_dir=cache) == 0
    assert re.search(f"run by the plain formula: .*{UNSAFE[change]}", caplog.text)
    assert torch.equal(unit(*inputs), expected)
    assert len(compiled) == 1


@needs_kernel
def test_what_belongs_to_somebody_else_is_not_run(compiled, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    assert kernels.available(cache)
    build.load.cache_clear()
    # Whoever runs the test owns the folder, so the reader is another user here.
    owner = cache.stat().st_uid
    monkeypatch.setattr(build.os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr(build, "_ROOT", owner + 2)
    assert f"cache belongs to user {owner}" in str(kernels.why_not(cache))
