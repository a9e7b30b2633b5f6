"""Cuts a Piper voice (VITS, exported to ONNX) into stages that can run on part of a sentence.

    text      phoneme ids [1, ids] -> mean and log deviation [1, ids, channels], frames for each id
    flow0 …   prior [1, channels, frames] -> latent [1, channels, frames], a stage a coupling
    head      latent -> first upsampling of the vocoder (few samples, wide context)
    tail      the remaining upsamplings -> audio (many samples, narrow context)

The cut points are found by structure, since their names differ between exports: the one `Ceil` is
the durations, the random tensor downstream of it is the noise of the prior, and the first and
second `ConvTranspose` are the first two upsamplings of the vocoder (HiFi-GAN, Kong et al., 2020).
Flow, head and tail are convolutional in time, so each needs only `radius` frames of context on
either side to give exactly what it gives for the whole sentence; head and tail are apart because
the tail does most of the work and needs almost no context.

Kim, Kong, Son: "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech", 2021.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

RANDOM_OPS = frozenset({"RandomNormalLike", "RandomNormal"})
STAGE_INPUT = "x"
"""Input of flow, head and tail: float32 [1, channels, time]."""
DURATION_NOISE = "duration_noise"
"""Input of the text stage: float32 [1, 2, ids], standard normal."""
PRIOR_NOISE = "prior_noise"
"""Input of `with_noise_inputs`: float32 [1, channels, frames], standard normal."""


class CannotSplitError(Exception):
    """The graph does not have the structure that the cuts rely on; the message says where."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stage that is convolutional in time."""

    model: onnx.ModelProto
    radius: float
    """Context needed on either side, in frames."""
    upsampling: int
    """Output samples for each input sample."""


@dataclass(frozen=True, slots=True)
class Split:
    """A voice in its stages."""

    text: onnx.ModelProto
    windows: Mapping[str, Window]
    """`flow0`, `flow1`, …, `head`, `tail`, in the order in which they run."""


class _Graph:
    """Who makes and who uses each tensor of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.constants = {item.name: item for item in model.graph.initializer}
        self.inputs = {
            item.name: item for item in model.graph.input if item.name not in self.constants
        }
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self._descendants: dict[str, frozenset[str]] = {}

    def ancestors(self, names: Iterable[str], stop: Iterable[str] = ()) -> set[str]:
        """Every tensor that `names` are computed from, themselves included, not beyond `stop`."""
        ends = set(stop)
        seen: set[str] = set()
        todo = [name for name in names if name]
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.producer and name not in ends:
                todo.extend(part for part in self.producer[name].input if part)
        return seen

    def depends_on(self, name: str, source: str) -> bool:
        """Whether `name` is computed from `source`, or is it."""
        if source not in self._descendants:
            seen = {source}
            for node in self.nodes:  # ONNX demands topological order
                if not seen.isdisjoint(node.input):
                    seen.update(node.output)
            self._descendants[source] = frozenset(seen)
        return name in self._descendants[source]

    def only(self, op_type: str) -> onnx.NodeProto:
        found = [node for node in self.nodes if node.op_type == op_type]
        if len(found) != 1:
            raise CannotSplitError(f"expected one {op_type} node, found {len(found)}")
        return found[0]

    def extract(
        self,
        outputs: Mapping[str, str],
        cuts: Mapping[str, str],
        constants: Mapping[str, np.ndarray] | None = None,
    ) -> onnx.ModelProto:
        """Copies what lies between `cuts` and `outputs`, both given as old name to new name.

        `constants` replaces tensors by fixed values.
        """
        fixed = dict(constants or {})
        needed = self.ancestors(outputs, [*cuts, *fixed])
        missing = [name for name in cuts if name not in needed]
        if missing:
            raise CannotSplitError(f"{missing} is not used by {list(outputs)}")
        names = {**cuts, **outputs}
        nodes = []
        for node in self.nodes:
            if not any(
                name in needed and name not in cuts and name not in fixed for name in node.output
            ):
                continue
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [names.get(name, name) for name in node.input]
            copy.output[:] = [names.get(name, name) for name in node.output]
            nodes.append(copy)
        float_type = onnx.TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info(new, float_type, None) for new in cuts.values()] + [
            item for name, item in self.inputs.items() if name in needed
        ]
        initializers = [item for name, item in self.constants.items() if name in needed] + [
            numpy_helper.from_array(value, name) for name, value in fixed.items()
        ]
        graph = helper.make_graph(
            nodes,
            "stage",
            inputs,
            [helper.make_tensor_value_info(new, float_type, None) for new in outputs.values()],
            initializers,
        )
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        model.ir_version = self.model.ir_version
        return model


def split(model: onnx.ModelProto) -> Split:
    """Finds the cut points and gives the stages.

    Raises:
        CannotSplitError: If the graph is not built as Piper's are.
    """
    graph = _Graph(model)
    if not {"input", "input_lengths", "scales"} <= graph.inputs.keys():
        raise CannotSplitError(f"inputs are {sorted(graph.inputs)}")
    durations = graph.only("Ceil").output[0]
    prior_noise, duration_noise = _noises(graph, durations)
    prior = _first_consumer(graph, prior_noise, "Add").output[0]
    mean = _per_id(graph, prior, durations, skip=prior_noise)
    deviation = _per_id(graph, _exponent(graph, prior_noise), durations)
    latent, upsampled = _vocoder_cuts(graph, prior)

    text = graph.extract(
        {mean: "mean", deviation: "log_deviation", durations: "durations"},
        {duration_noise: DURATION_NOISE},
    )
    one = np.ones((1, 1, 1), np.float32)
    inside = {
        name
        for name in graph.ancestors([latent], [prior])
        if name != prior and graph.depends_on(name, prior)
    }
    # With one sentence in the batch the mask is one everywhere.
    masks = {
        name: one
        for tensor in inside
        for name in graph.producer[tensor].input
        if name and name not in inside and name != prior and graph.depends_on(name, "input")
    }
    couplings = [
        node.output[0]
        for node in graph.nodes
        if node.op_type == "Concat" and node.output[0] in inside
    ]
    cuts = [prior, *couplings[:-1], latent]
    chain = [(f"flow{i}", *pair) for i, pair in enumerate(itertools.pairwise(cuts))]
    chain += [("head", latent, upsampled), ("tail", upsampled, model.graph.output[0].name)]
    windows = {}
    for name, start, end in chain:
        part = graph.extract({end: "y"}, {start: STAGE_INPUT}, masks)
        if "input" in {item.name for item in part.graph.input}:
            raise CannotSplitError(f"the {name} depends on the whole sentence")
        windows[name] = Window(part, *_context(part))
    return Split(text, windows)


def with_noise_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The undivided voice with its two random tensors as inputs: the measure for the stages.

    Raises:
        CannotSplitError: If the random tensors are not found.
    """
    graph = _Graph(model)
    durations = graph.only("Ceil").output[0]
    prior_noise, duration_noise = _noises(graph, durations)
    return graph.extract(
        {model.graph.output[0].name: "y"},
        {duration_noise: DURATION_NOISE, prior_noise: PRIOR_NOISE},
    )


def _noises(graph: _Graph, durations: str) -> tuple[str, str]:
    names = [node.output[0] for node in graph.nodes if node.op_type in RANDOM_OPS]
    after = [name for name in names if graph.depends_on(name, durations)]
    before = [name for name in names if name not in after]
    if len(after) != 1 or len(before) != 1:
        raise CannotSplitError(
            f"{len(before)} random tensors before the durations, {len(after)} after"
        )
    return after[0], before[0]


def _first_consumer(graph: _Graph, name: str, op_type: str) -> onnx.NodeProto:
    for _ in range(8):
        users = graph.consumers.get(name, [])
        if len(users) != 1:
            break
        if users[0].op_type == op_type:
            return users[0]
        name = users[0].output[0]
    raise CannotSplitError(f"no {op_type} follows the noise of the prior")


def _exponent(graph: _Graph, prior_noise: str) -> str:
    product = _first_consumer(graph, prior_noise, "Mul")
    for name in product.input:
        if name in graph.producer and graph.producer[name].op_type == "Exp":
            return str(graph.producer[name].input[0])
    raise CannotSplitError("the noise of the prior is not scaled by an exponential")


def _per_id(graph: _Graph, name: str, durations: str, skip: str | None = None) -> str:
    """The tensor [1, ids, channels] that the alignment spreads over the frames to give `name`."""
    for _ in range(8):
        node = graph.producer.get(name)
        if node is None:
            break
        if node.op_type == "MatMul":
            parts = [part for part in node.input if not graph.depends_on(part, durations)]
            if len(parts) == 1:
                return str(parts[0])
            break
        parts = [
            part
            for part in node.input
            if part in graph.producer
            and graph.depends_on(part, durations)
            and not (skip and graph.depends_on(part, skip))
        ]
        if len(parts) != 1:
            break
        name = parts[0]
    raise CannotSplitError("the alignment of ids to frames is not a matrix product")


def _vocoder_cuts(graph: _Graph, prior: str) -> tuple[str, str]:
    """Input of the vocoder's first convolution, and input of its second upsampling."""
    ups = [node for node in graph.nodes if node.op_type == "ConvTranspose"]
    ups = [node for node in ups if graph.depends_on(node.output[0], prior)]
    if len(ups) < 2:
        raise CannotSplitError(f"expected two upsamplings or more, found {len(ups)}")
    ups.sort(key=lambda node: len(graph.ancestors([node.output[0]], [prior])))
    name = ups[0].input[0]
    for _ in range(4):
        node = graph.producer.get(name)
        if node is None:
            break
        parts = [part for part in node.input if graph.depends_on(part, prior)]
        if len(parts) != 1:
            break
        if node.op_type == "Conv":
            return str(parts[0]), str(ups[1].input[0])
        name = parts[0]
    raise CannotSplitError("no convolution before the first upsampling")


def _context(model: onnx.ModelProto) -> tuple[float, int]:
    """Radius in input samples, and upsampling, of a stage from `x` to `y`."""
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    radius: dict[str, float] = {STAGE_INPUT: 0.0}
    scale: dict[str, int] = {STAGE_INPUT: 1}
    for node in model.graph.node:
        sources = [name for name in node.input if name in radius]
        if not sources:
            continue
        widest = max(radius[name] for name in sources)
        rate = max(scale[name] for name in sources)
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type in ("Conv", "ConvTranspose"):
            kernel = shapes[node.input[1]][-1]
            stride = attributes.get("strides", [1])[0]
            dilation = attributes.get("dilations", [1])[0]
            surplus = sum(attributes.get("pads", [0])) - (kernel - 1) * dilation
            if node.op_type == "Conv":
                if stride != 1 or surplus:
                    raise CannotSplitError("a convolution that changes the length")
                widest += (kernel - 1) * dilation / 2 / rate
            else:
                surplus += stride - 1 - sum(attributes.get("output_padding", [0]))
                if dilation != 1 or surplus:
                    raise CannotSplitError("an upsampling by no whole number")
                widest += math.ceil(kernel / 2 / stride) / rate
                rate *= stride
        for name in node.output:
            radius[name], scale[name] = widest, rate
    if "y" not in radius:
        raise CannotSplitError("the stage's output does not depend on its input")
    return radius["y"], scale["y"]
