"""Quantise an ONNX graph: matrix products in int8, with a scale for each row of the activations.

ONNX Runtime's `quantize_dynamic` has one scale per batch. The score of a text would depend on the other texts
of the batch, and one large value would reduce the precision of all others. Here each token has its own scale.
ONNX Runtime multiplies uint8 by int8 fastest, so activations are shifted by 128.
"""

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

MAX_INT8 = 127
SHIFT = 128
# Products with fewer columns are those of the head: their time is negligible, their effect is not.
MIN_COLUMNS = 16

# The domain of ONNX Runtime's own operators.
ONNX_RUNTIME = "com.microsoft"

CONSTANTS: dict[str, np.ndarray] = {
    "int8_last_axis": np.array([-1], np.int64),
    "int8_tiny": np.array(1e-9, np.float32),  # avoids a division by 0 in rows of zeros
    "int8_largest": np.array(MAX_INT8, np.float32),
    "int8_one": np.array(1, np.float32),  # for operators that require a scale; rows are scaled separately
    "int8_shift": np.array(SHIFT, np.uint8),
}


def write_int8(source: Path, target: Path) -> None:
    """Write `source` to `target` with products of activations and weights in int8.

    Weights have a scale for each column. Products of two activations, and products with few columns, stay in
    float32.
    """
    model = onnx.load(source)
    graph = model.graph
    graph.ClearField("value_info")  # recorded shapes of values that no longer exist
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes: list[NodeProto] = []
    quantised_rows: set[str] = set()
    quantised_weights: dict[str, list[TensorProto]] = {}
    for node in graph.node:
        matrix = constant_factor(node, weights)
        if matrix is None or matrix.shape[1] < MIN_COLUMNS:
            nodes.append(node)
            continue
        rows, weight = node.input[0], int8_name(node)
        if rows not in quantised_rows:  # queries, keys and values are products of the same rows
            nodes += quantise_rows(rows)
            quantised_rows.add(rows)
        quantised_weights.setdefault(weight, quantise_columns(weight, matrix))
        nodes += int8_product(node)
    graph.ClearField("node")
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    constants = [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items()]
    initializers = [*graph.initializer, *constants, *itertools.chain(*quantised_weights.values())]
    used = [each for each in initializers if each.name in read]
    graph.ClearField("initializer")
    graph.initializer.extend(used)
    model.opset_import.append(helper.make_opsetid(ONNX_RUNTIME, 1))
    onnx.save(model, target)


def constant_factor(node: NodeProto, weights: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the (inputs, outputs) weights of a product `activations @ weights`, None for other nodes."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in weights:
        return None
    matrix = weights[node.input[1]]
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if (
        matrix.ndim != 2
        or attributes.get("transA")
        or {attributes.get("alpha", 1.0), attributes.get("beta", 1.0)} != {1.0}
    ):
        return None
    return matrix.T if attributes.get("transB") else matrix


def int8_name(node: NodeProto) -> str:
    """Return the name of a product's int8 weights. One matrix may be transposed in some products only."""
    is_transposed = any(each.name == "transB" and each.i for each in node.attribute)
    return f"{node.input[1]}_transposed" if is_transposed else node.input[1]


def quantise_rows(rows: str) -> list[NodeProto]:
    """Return nodes that convert the activations `rows` to uint8 and compute the scale of each row."""
    return [
        helper.make_node("Abs", [rows], [f"{rows}_magnitude"]),
        helper.make_node(
            "ReduceMax", [f"{rows}_magnitude", "int8_last_axis"], [f"{rows}_largest"], keepdims=1
        ),
        helper.make_node("Max", [f"{rows}_largest", "int8_tiny"], [f"{rows}_bound"]),
        helper.make_node("Div", ["int8_largest", f"{rows}_bound"], [f"{rows}_steps"]),
        helper.make_node("Mul", [rows, f"{rows}_steps"], [f"{rows}_scaled"]),
        helper.make_node("QuantizeLinear", [f"{rows}_scaled", "int8_one", "int8_shift"], [f"{rows}_int8"]),
        helper.make_node("Div", [f"{rows}_bound", "int8_largest"], [f"{rows}_scale"]),
    ]


def quantise_columns(weight: str, matrix: np.ndarray) -> list[TensorProto]:
    """Return the weights as int8, and the scale of each column."""
    scales = np.maximum(np.abs(matrix).max(axis=0) / MAX_INT8, np.finfo(np.float32).tiny)
    return [
        numpy_helper.from_array(np.round(matrix / scales).astype(np.int8), f"{weight}_int8"),
        numpy_helper.from_array(scales.astype(np.float32), f"{weight}_scale"),
    ]


def int8_product(node: NodeProto) -> list[NodeProto]:
    """Return nodes that compute the product of `node` from the quantised rows and weights."""
    rows, _, *bias = node.input
    weight = int8_name(node)
    result = node.output[0]
    unbiased = f"{result}_unbiased" if bias else result
    factors = [f"{rows}_int8", f"{weight}_int8", "int8_one", f"{weight}_scale", "int8_shift"]
    nodes = [
        helper.make_node("MatMulIntegerToFloat", factors, [f"{result}_unscaled"], domain=ONNX_RUNTIME),
        helper.make_node("Mul", [f"{result}_unscaled", f"{rows}_scale"], [unbiased]),
    ]
    return nodes + ([helper.make_node("Add", [unbiased, bias[0]], [result])] if bias else [])
