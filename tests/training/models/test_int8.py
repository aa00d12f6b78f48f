"""The int8 graph against its float32 graph, on small graphs with known weights."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_model.classifier import has_fast_int8
from training.models.int8 import write_int8

WIDTH, COLUMNS = 32, 48
RANDOM = np.random.default_rng(5)
FIRST = RANDOM.normal(size=(WIDTH, COLUMNS)).astype(np.float32)
SECOND = RANDOM.normal(size=(64, COLUMNS)).astype(np.float32)  # stored transposed for the Gemm
BIAS = RANDOM.normal(size=64).astype(np.float32)
HEAD = RANDOM.normal(size=(64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """x @ FIRST, then a Gemm with SECOND and BIAS, then @ HEAD: in float32 and in int8."""
    folder = tmp_path_factory.mktemp("graphs")
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Gemm", ["a", "second", "bias"], ["b"], transB=1),
        helper.make_node("MatMul", ["b", "head"], ["y"]),
    ]
    weights = {"first": FIRST, "second": SECOND, "bias": BIAS, "head": HEAD}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        folder / "float32.onnx",
    )
    write_int8(folder / "float32.onnx", folder / "int8.onnx")
    return folder


def run(path, rows):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        ["y"], {"x": rows.astype(np.float32)}
    )[0]


@pytest.mark.skipif(
    not has_fast_int8(), reason="without VNNI, int8 products of ONNX Runtime may saturate; float32 is used"
)
def test_results_are_close_to_float32(graphs):
    rows = RANDOM.normal(size=(50, WIDTH))
    exact = run(graphs / "float32.onnx", rows)
    np.testing.assert_allclose(
        run(graphs / "float32.onnx", rows), ((rows @ FIRST) @ SECOND.T + BIAS) @ HEAD, rtol=1e-3, atol=1e-2
    )
    assert np.abs(run(graphs / "int8.onnx", rows) - exact).max() < 0.02 * np.abs(exact).max()


def test_the_result_of_a_row_does_not_depend_on_other_rows(graphs):
    rows = RANDOM.normal(size=(4, WIDTH))
    with_large_rows = np.vstack([rows, 1000 * RANDOM.normal(size=(4, WIDTH))])
    np.testing.assert_array_equal(
        run(graphs / "int8.onnx", with_large_rows)[:4], run(graphs / "int8.onnx", rows)
    )


def test_a_row_of_zeros_gives_the_bias(graphs):
    np.testing.assert_allclose(
        run(graphs / "int8.onnx", np.zeros((1, WIDTH))), [BIAS @ HEAD], rtol=0.02, atol=0.2
    )


def test_only_the_weights_of_the_head_stay_float(graphs):
    initializers = {each.name: each.data_type for each in onnx.load(graphs / "int8.onnx").graph.initializer}
    assert {"first", "second"} & initializers.keys() == set()
    assert initializers["first_int8"] == initializers["second_transposed_int8"] == TensorProto.INT8
    assert initializers["head"] == TensorProto.FLOAT
