//! Graphs of one and of several operators over random shapes: the integer model is close to the float engine's run.

use crate::graphs::{bytes, float, floats, int, integers, ints, model, node, text, with_opset};
use crate::{STEP, Tolerance, compare, size};
use provenn_models::{ModelError, import};
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// Graphs of each operator alone.
const ALONE: u64 = 24;
/// Graphs of several operators.
const TOGETHER: u64 = 300;
/// Inputs of a graph.
const SAMPLES: usize = 4;

/// Pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `lo` to `hi`, both included.
    fn between(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next() as usize % choices.len()]
    }

    /// A real in [-1, 1].
    fn real(&mut self) -> f32 {
        self.between(-10_000, 10_000) as f32 / 10_000.0
    }

    fn shuffled(&mut self, count: usize) -> Vec<i64> {
        let mut order: Vec<i64> = (0..count as i64).collect();
        for last in (1..count).rev() {
            order.swap(last, self.between(0, last as i64) as usize);
        }
        order
    }

    /// Some of `0..count`, in order, at least one.
    fn some(&mut self, count: usize) -> Vec<i64> {
        let mut some: Vec<i64> = (0..count as i64).filter(|_| self.coin()).collect();
        if some.is_empty() {
            some.push(self.between(0, count as i64 - 1));
        }
        some
    }
}

/// A graph that grows operator by operator.
struct Builder {
    random: Random,
    input: Vec<i64>,
    shape: Vec<i64>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Whether all that was added only moves entries.
    exact: bool,
}

/// Adds an operator to a graph; whether the graph's shape allows it.
type Add = fn(&mut Builder) -> bool;

impl Builder {
    fn new(seed: u64, axes: Option<usize>) -> Self {
        let mut random = Random(seed);
        let axes = axes.unwrap_or_else(|| random.between(1, 5) as usize);
        let most = if axes > 4 { 4 } else { 7 };
        let mut shape: Vec<i64> = (0..axes).map(|_| random.between(1, most)).collect();
        shape[0] = random.between(1, 2);
        let (nodes, constants) = (Vec::new(), Vec::new());
        Builder { random, input: shape.clone(), shape, nodes, constants, exact: true }
    }

    /// The tensor that the last operator gives.
    fn last(&self) -> String {
        self.nodes.last().map_or("x".to_owned(), |node| node.output[0].clone())
    }

    fn fresh(&self) -> String {
        format!("t{}", self.nodes.len() + self.constants.len())
    }

    fn constant(&mut self, dims: &[i64]) -> String {
        let values: Vec<f32> = (0..dims.iter().product::<i64>()).map(|_| self.random.real()).collect();
        let name = self.fresh();
        self.constants.push(floats(&name, dims, &values));
        name
    }

    fn list(&mut self, values: &[i64]) -> String {
        let name = self.fresh();
        self.constants.push(integers(&name, values));
        name
    }

    /// Adds an operator whose first operand is the last tensor.
    fn push(&mut self, operator: &str, operands: &[String], attributes: &[AttributeProto]) -> bool {
        let (last, output) = (self.last(), self.fresh());
        let operands: String = operands.iter().map(|name| format!(" {name}")).collect();
        self.nodes.push(node(&format!("{operator} {last}{operands} -> {output}"), attributes));
        true
    }

    fn inexact(&mut self) {
        self.exact = false;
    }

    /// Kernel, strides, dilations and padding, and the lengths they give; `None` if the input is too short.
    fn window(&mut self, dilated: bool) -> Option<(Vec<i64>, Vec<AttributeProto>, Vec<i64>)> {
        let spatial = self.shape[2..].to_vec();
        let random = &mut self.random;
        let kernel: Vec<i64> = spatial.iter().map(|_| random.between(1, 3)).collect();
        let strides: Vec<i64> = spatial.iter().map(|_| random.between(1, 3)).collect();
        let automatic = random.pick(&["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]);
        let dilated = dilated && !automatic.starts_with("SAME");
        let dilations: Vec<i64> =
            spatial.iter().map(|_| if dilated { random.between(1, 2) } else { 1 }).collect();
        let mut pads = vec![0; 2 * spatial.len()];
        if automatic == "NOTSET" {
            for (axis, kernel) in kernel.iter().chain(&kernel).enumerate() {
                pads[axis] = random.between(0, kernel - 1);
            }
        }
        let mut lengths = Vec::new();
        for (axis, &length) in spatial.iter().enumerate() {
            let extent = (kernel[axis] - 1) * dilations[axis] + 1;
            let room = length + pads[axis] + pads[axis + spatial.len()] - extent;
            lengths.push(match automatic {
                "SAME_UPPER" | "SAME_LOWER" => (length + strides[axis] - 1) / strides[axis],
                _ if room < 0 => return None,
                _ => room / strides[axis] + 1,
            });
        }
        let mut attributes = vec![ints("strides", &strides), ints("kernel_shape", &kernel)];
        if dilated {
            attributes.push(ints("dilations", &dilations));
        }
        match automatic {
            "NOTSET" => attributes.push(ints("pads", &pads)),
            _ => attributes.push(text("auto_pad", automatic)),
        }
        Some((kernel, attributes, lengths))
    }

    /// A divisor of `count`.
    fn divisor(&mut self, count: i64) -> i64 {
        let divisors: Vec<i64> = (1..=count).filter(|d| count % d == 0).collect();
        self.random.pick(&divisors)
    }

    fn conv(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let Some((kernel, mut attributes, lengths)) = self.window(true) else { return false };
        let channels = self.shape[1];
        let groups = self.divisor(channels);
        let outputs = groups * self.random.between(1, 3);
        let mut operands = vec![self.constant(&[&[outputs, channels / groups][..], &kernel].concat())];
        if self.random.coin() {
            operands.push(self.constant(&[outputs]));
        }
        attributes.push(int("group", groups));
        self.inexact();
        self.shape = [&[self.shape[0], outputs][..], &lengths].concat();
        self.push("Conv", &operands, &attributes)
    }

    fn conv_transpose(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let spatial = self.shape[2..].to_vec();
        let random = &mut self.random;
        let mut draw = |lo, hi| spatial.iter().map(|_| random.between(lo, hi)).collect::<Vec<i64>>();
        let (kernel, strides, dilations) = (draw(1, 3), draw(1, 3), draw(1, 2));
        let mut pads = Vec::new();
        let mut extra = Vec::new();
        for axis in (0..spatial.len()).chain(0..spatial.len()) {
            pads.push(self.random.between(0, kernel[axis] - 1));
        }
        let mut lengths = Vec::new();
        for (axis, length) in spatial.iter().enumerate() {
            extra.push(self.random.between(0, strides[axis] - 1));
            let full = strides[axis] * (length - 1) + (kernel[axis] - 1) * dilations[axis] + 1 + extra[axis];
            lengths.push(full - pads[axis] - pads[axis + spatial.len()]);
        }
        if lengths.iter().any(|&length| length < 1) {
            return false;
        }
        let groups = self.divisor(self.shape[1]);
        let outputs = self.random.between(1, 3);
        let mut operands = vec![self.constant(&[&[self.shape[1], outputs][..], &kernel].concat())];
        if self.random.coin() {
            operands.push(self.constant(&[outputs * groups]));
        }
        let attributes = [
            ints("strides", &strides),
            ints("dilations", &dilations),
            ints("pads", &pads),
            ints("output_padding", &extra),
            int("group", groups),
        ];
        self.inexact();
        self.shape = [&[self.shape[0], outputs * groups][..], &lengths].concat();
        self.push("ConvTranspose", &operands, &attributes)
    }

    fn max_pool(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let Some((_, attributes, lengths)) = self.window(true) else { return false };
        self.shape.splice(2.., lengths);
        self.push("MaxPool", &[], &attributes)
    }

    fn average_pool(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let Some((_, mut attributes, lengths)) = self.window(false) else { return false };
        attributes.push(int("count_include_pad", self.random.between(0, 1)));
        self.inexact();
        self.shape.splice(2.., lengths);
        self.push("AveragePool", &[], &attributes)
    }

    fn global_pool(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let operator = self.random.pick(&["GlobalAveragePool", "GlobalMaxPool"]);
        self.exact &= operator == "GlobalMaxPool";
        self.shape[2..].fill(1);
        self.push(operator, &[], &[])
    }

    fn reduce(&mut self) -> bool {
        let axes = self.random.some(self.shape.len());
        let keep = self.random.coin() || axes.len() == self.shape.len();
        let named: Vec<i64> = axes
            .iter()
            .map(|&axis| if self.random.coin() { axis - self.shape.len() as i64 } else { axis })
            .collect();
        let operator = self.random.pick(&["ReduceMean", "ReduceSum", "ReduceMax"]);
        let kept = int("keepdims", keep.into());
        self.exact &= operator == "ReduceMax";
        for axis in axes.iter().rev() {
            match keep {
                true => self.shape[*axis as usize] = 1,
                false => {
                    self.shape.remove(*axis as usize);
                }
            }
        }
        match operator {
            "ReduceSum" => {
                let axes = self.list(&named);
                self.push(operator, &[axes], &[kept])
            }
            _ => self.push(operator, &[], &[kept, ints("axes", &named)]),
        }
    }

    fn batch_normalization(&mut self) -> bool {
        if self.shape.len() < 2 {
            return false;
        }
        let channels = self.shape[1];
        let mut operands: Vec<String> = (0..3).map(|_| self.constant(&[channels])).collect();
        let variance: Vec<f32> = (0..channels).map(|_| self.random.real().abs() + 0.2).collect();
        operands.push(self.fresh());
        self.constants.push(floats(&operands[3], &[channels], &variance));
        self.inexact();
        self.push("BatchNormalization", &operands, &[float("epsilon", 1e-3)])
    }

    /// A sum, difference or product with a constant that is broadcast.
    fn with_constant(&mut self) -> bool {
        let skipped = self.random.between(0, self.shape.len() as i64) as usize;
        let dims: Vec<i64> =
            self.shape[skipped..].to_vec().iter().map(|&d| if self.random.coin() { d } else { 1 }).collect();
        let constant = self.constant(&dims);
        let operator = self.random.pick(&["Add", "Sub", "Mul"]);
        self.inexact();
        if self.random.coin() {
            return self.push(operator, &[constant], &[]);
        }
        let (last, output) = (self.last(), self.fresh());
        self.nodes.push(node(&format!("{operator} {constant} {last} -> {output}"), &[]));
        true
    }

    /// A sum, difference or product with what was computed before, reduced so that it is broadcast.
    fn with_value(&mut self) -> bool {
        let last = self.last();
        let axes = self.random.some(self.shape.len());
        let reduced = self.random.pick(&["ReduceMean", "ReduceMax"]);
        self.push(reduced, &[], &[ints("axes", &axes)]);
        let operator = self.random.pick(&["Add", "Sub", "Mul"]);
        self.inexact();
        self.push(operator, &[last], &[])
    }

    /// The pieces of an axis in another order, one of them rectified.
    fn split_and_concat(&mut self) -> bool {
        let axis = self.random.between(0, self.shape.len() as i64 - 1);
        let length = self.shape[axis as usize];
        if length < 2 {
            return false;
        }
        let first = self.random.between(1, length - 1);
        let lengths = self.list(&[first, length - first]);
        let (last, output) = (self.last(), self.fresh());
        let [a, b, c] = ["a", "b", "c"].map(|piece| format!("{output}{piece}"));
        self.nodes.push(node(&format!("Split {last} {lengths} -> {a} {b}"), &[int("axis", axis)]));
        self.nodes.push(node(&format!("Relu {a} -> {c}"), &[]));
        let pieces = self.random.pick(&["b c", "c b a", "b b", "c b"]);
        let mut joined = String::new();
        for piece in pieces.split(' ') {
            joined.push_str(&format!(" {output}{piece}"));
        }
        let count = |piece: &str| if piece == "b" { length - first } else { first };
        self.shape[axis as usize] = pieces.split(' ').map(count).sum();
        self.nodes.push(node(
            &format!("Concat{joined} -> {output}j"),
            &[int("axis", axis - self.shape.len() as i64)],
        ));
        true
    }

    fn slice(&mut self) -> bool {
        let axes = self.random.some(self.shape.len());
        let (mut starts, mut ends, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for &axis in &axes {
            let length = self.shape[axis as usize];
            let step = self.random.pick(&[1i64, 1, 2, 3, -1, -2]);
            let first = self.random.between(0, length - 1);
            let last = self.random.between(0, length - 1);
            let (first, last) = if (first <= last) == (step > 0) { (first, last) } else { (last, first) };
            let counted = self.random.coin();
            starts.push(if counted { first } else { first - length });
            ends.push(match (step > 0, last) {
                (true, last) if counted => last + 1,
                (true, _) => i64::MAX,
                (false, 0) => -length - 1,
                (false, last) => last - 1,
            });
            let last = if step > 0 && !counted { length - 1 } else { last };
            steps.push(step);
            self.shape[axis as usize] = (last - first).abs() / step.abs() + 1;
        }
        let operands = [&starts, &ends, &axes, &steps].map(|list| self.list(list));
        self.push("Slice", &operands, &[])
    }

    fn pad(&mut self) -> bool {
        let mut pads = vec![0; 2 * self.shape.len()];
        for axis in 0..self.shape.len() {
            for side in [axis, axis + self.shape.len()] {
                let least = if self.shape[axis] > 1 { -1 } else { 0 };
                pads[side] = self.random.between(least, 2);
                self.shape[axis] += pads[side];
            }
        }
        let fill = self.random.between(-1000, 1000) as f32 * STEP;
        let mut operands = vec![self.list(&pads)];
        if self.random.coin() {
            operands.push(self.fresh());
            self.constants.push(floats(&operands[1], &[], &[fill]));
        }
        self.push("Pad", &operands, &[])
    }

    fn transpose(&mut self) -> bool {
        let perm = self.random.shuffled(self.shape.len());
        self.shape = perm.iter().map(|&axis| self.shape[axis as usize]).collect();
        self.push("Transpose", &[], &[ints("perm", &perm)])
    }

    fn reshape(&mut self) -> bool {
        let mut rest: i64 = self.shape.iter().product();
        let mut shape = Vec::new();
        for _ in 0..self.random.between(1, 4) {
            let length = self.divisor(rest);
            shape.push(length);
            rest /= length;
        }
        shape.push(rest);
        self.shape = shape.clone();
        if self.random.coin() {
            let axis = self.random.between(0, shape.len() as i64 - 1);
            shape[axis as usize] = -1;
        }
        let shape = self.list(&shape);
        self.push("Reshape", &[shape], &[])
    }

    fn unsqueeze_and_squeeze(&mut self) -> bool {
        let axis = self.random.between(0, self.shape.len() as i64);
        let axes = self.list(&[axis]);
        self.shape.insert(axis as usize, 1);
        self.push("Unsqueeze", &[axes], &[]);
        let ones: Vec<i64> =
            (0..self.shape.len() as i64).filter(|&axis| self.shape[axis as usize] == 1).collect();
        let axis = self.random.pick(&ones);
        let axes = self.list(&[axis - self.shape.len() as i64]);
        self.shape.remove(axis as usize);
        self.push("Squeeze", &[axes], &[])
    }

    fn gather(&mut self) -> bool {
        let axis = self.random.between(0, self.shape.len() as i64 - 1);
        let length = self.shape[axis as usize];
        let count = self.random.between(1, 7);
        let indices: Vec<i64> = (0..count).map(|_| self.random.between(-length, length - 1)).collect();
        self.shape[axis as usize] = indices.len() as i64;
        let indices = self.list(&indices);
        self.push("Gather", &[indices], &[int("axis", axis)])
    }

    fn resize(&mut self) -> bool {
        if self.shape.len() < 3 {
            return false;
        }
        let factors: Vec<i64> = self
            .shape
            .clone()
            .iter()
            .enumerate()
            .map(|(axis, _)| if axis < 2 { 1 } else { self.random.between(1, 3) })
            .collect();
        self.shape.iter_mut().zip(&factors).for_each(|(length, factor)| *length *= factor);
        let scales: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
        let name = self.fresh();
        self.constants.push(floats(&name, &[scales.len() as i64], &scales));
        let attributes = [
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
            text("mode", "nearest"),
        ];
        self.push("Resize", &["_".to_owned(), name], &attributes)
    }

    fn rectifier(&mut self) -> bool {
        if self.random.coin() {
            return self.push("Relu", &[], &[]);
        }
        let ends = [-0.7, 1.1].map(|end| {
            let name = self.fresh();
            self.constants.push(floats(&name, &[], &[end]));
            name
        });
        self.inexact();
        self.push("Clip", &ends, &[])
    }

    fn function(&mut self) -> bool {
        let operators = [
            "LeakyRelu",
            "HardSigmoid",
            "HardSwish",
            "Sigmoid",
            "Tanh",
            "Elu",
            "Softplus",
            "Erf",
            "Abs",
            "Neg",
        ];
        let operator = self.random.pick(&operators);
        let alpha = match operator {
            "LeakyRelu" | "HardSigmoid" | "Elu" => vec![float("alpha", self.random.real().abs() + 0.05)],
            _ => Vec::new(),
        };
        self.inexact();
        self.push(operator, &[], &alpha)
    }

    fn prelu(&mut self) -> bool {
        let dims: Vec<i64> =
            self.shape.clone().iter().map(|&d| if self.random.coin() { d } else { 1 }).collect();
        let slope = self.constant(&dims);
        self.inexact();
        self.push("PRelu", &[slope], &[])
    }

    fn mat_mul(&mut self) -> bool {
        let Some(&inputs) = self.shape.last() else { return false };
        let outputs = self.random.between(1, 6);
        let weight = self.constant(&[inputs, outputs]);
        self.inexact();
        *self.shape.last_mut().unwrap() = outputs;
        self.push("MatMul", &[weight], &[])
    }

    fn gemm(&mut self) -> bool {
        let &[_, inputs] = &self.shape[..] else { return false };
        let outputs = self.random.between(1, 6);
        let transposed = self.random.coin();
        let dims = if transposed { [outputs, inputs] } else { [inputs, outputs] };
        let operands = [self.constant(&dims), self.constant(&[outputs])];
        self.inexact();
        self.shape[1] = outputs;
        self.push(
            "Gemm",
            &operands,
            &[int("transB", transposed.into()), float("alpha", 0.5), float("beta", -3.0)],
        )
    }

    /// The largest error in steps of 12 bits, or what is wrong; 0 for a graph that does nothing.
    fn check(mut self, steps: f64) -> Result<f64, String> {
        let (last, opset) = (self.last(), 14);
        self.nodes.push(node(&format!("Identity {last} -> y"), &[]));
        let graph = with_opset(model(&self.input, &self.nodes, &self.constants), opset);
        let float = match import(&bytes(&graph)) {
            Err(ModelError::NoLayers) => return Ok(0.0),
            float => float.map_err(|error| error.to_string())?,
        };
        if float.output_shape().iter().map(|&d| d as i64).ne(self.shape.iter().copied()) {
            return Err(format!("shape {:?}, expected {:?}", float.output_shape(), self.shape));
        }
        let mut inputs: Vec<Vec<f32>> = (0..SAMPLES)
            .map(|_| (0..float.input_len()).map(|_| self.random.between(-2047, 2047) as f32 * STEP).collect())
            .collect();
        inputs[0][0] = 2047.0 * STEP;
        inputs[SAMPLES - 1][0] = -2047.0 * STEP;
        let mut expected = Vec::new();
        let mut largest = 0f32;
        for (index, input) in inputs.iter().enumerate() {
            let values = float.activations(index, input).map_err(|error| error.to_string())?;
            // A clamp may leave little of what lies before it.
            largest = largest.max(size(values.iter().flatten()));
            let output = values.into_iter().next_back().flatten();
            expected.push(output.ok_or("the float engine gives no output")?);
        }
        let tolerance = if self.exact { Tolerance::Exact } else { Tolerance::Steps(steps) };
        compare(&float, &inputs, &expected, largest, tolerance)
    }

    fn describe(&self) -> String {
        let node = |node: &NodeProto| {
            let attributes = node
                .attribute
                .iter()
                .map(|a| format!("{}={}{:?}{}", a.name, a.i, a.ints, String::from_utf8_lossy(&a.s)));
            let attributes: Vec<String> = attributes.collect();
            format!("{} {:?} -> {:?} {}", node.op_type, node.input, node.output, attributes.join(" "))
        };
        let constant =
            |tensor: &TensorProto| format!("{} {:?} {:?}", tensor.name, tensor.dims, tensor.int64_data);
        let nodes: Vec<String> = self.nodes.iter().map(node).collect();
        let constants: Vec<String> = self.constants.iter().map(constant).collect();
        format!("x {:?}; {}; {}", self.input, nodes.join("; "), constants.join("; "))
    }
}

/// Operators, and how many axes a graph of it alone has, unless any number will do.
const OPERATORS: [(&str, Add, &[usize]); 22] = [
    ("Conv", Builder::conv, &[3, 4, 5]),
    ("ConvTranspose", Builder::conv_transpose, &[3, 4, 5]),
    ("MaxPool", Builder::max_pool, &[3, 4, 5]),
    ("AveragePool", Builder::average_pool, &[3, 4, 5]),
    ("global pooling", Builder::global_pool, &[3, 4, 5]),
    ("reduction", Builder::reduce, &[1, 2, 3, 4, 5]),
    ("BatchNormalization", Builder::batch_normalization, &[2, 3, 4]),
    ("a constant", Builder::with_constant, &[1, 2, 3, 4]),
    ("a value", Builder::with_value, &[1, 2, 3, 4]),
    ("Split and Concat", Builder::split_and_concat, &[2, 3, 4]),
    ("Slice", Builder::slice, &[1, 2, 3, 4]),
    ("Pad", Builder::pad, &[1, 2, 3, 4]),
    ("Transpose", Builder::transpose, &[2, 3, 4, 5]),
    ("Reshape", Builder::reshape, &[1, 2, 3, 4]),
    ("Unsqueeze and Squeeze", Builder::unsqueeze_and_squeeze, &[1, 2, 3, 4]),
    ("Gather", Builder::gather, &[1, 2, 3, 4]),
    ("Resize", Builder::resize, &[3, 4]),
    ("rectifier", Builder::rectifier, &[1, 2, 3, 4]),
    ("function", Builder::function, &[1, 2, 3]),
    ("PRelu", Builder::prelu, &[2, 3, 4]),
    ("MatMul", Builder::mat_mul, &[1, 2, 3]),
    ("Gemm", Builder::gemm, &[2]),
];

fn report(wrong: &[String], worst: f64) {
    println!("largest error: {worst:.2} steps");
    assert!(wrong.is_empty(), "{} graphs:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_operator_alone_is_close_to_the_float_engine() {
    let mut wrong = Vec::new();
    let mut worst = 0f64;
    for (index, (name, add, axes)) in OPERATORS.iter().enumerate() {
        let mut count = 0;
        for seed in 0..ALONE {
            let mut builder =
                Builder::new(1000 * index as u64 + seed, Some(axes[seed as usize % axes.len()]));
            if !add(&mut builder) {
                continue;
            }
            count += 1;
            let text = builder.describe();
            match builder.check(2.0) {
                Ok(error) => worst = worst.max(error),
                Err(reason) => wrong.push(format!("{name}, seed {seed}: {reason}\n    {text}")),
            }
        }
        assert!(count * 3 > ALONE, "{name}: {count} graphs");
    }
    report(&wrong, worst);
}

#[test]
fn operators_one_after_the_other_are_close_to_the_float_engine() {
    let mut wrong = Vec::new();
    let mut worst = 0f64;
    for seed in 0..TOGETHER {
        let mut builder = Builder::new(1_000_000 + seed, Some(2 + seed as usize % 3));
        let wanted = 2 + seed as usize % 3;
        let mut names = Vec::new();
        while names.len() < wanted {
            let (name, add, _) = builder.random.pick(&OPERATORS);
            if builder.shape.iter().product::<i64>() < 600 && !builder.shape.is_empty() && add(&mut builder) {
                names.push(name);
            } else if builder.shape.iter().product::<i64>() >= 600 || builder.shape.is_empty() {
                break;
            }
        }
        let text = builder.describe();
        match builder.check(6.0) {
            Ok(error) => worst = worst.max(error),
            Err(reason) => wrong.push(format!("seed {seed}, {names:?}: {reason}\n    {text}")),
        }
    }
    report(&wrong, worst);
}
