//! Small random models for tests.

use provenn_circuits::LayerList;
use provenn_circuits::layers::{Activation, Function, Gemm, Layer, Operand, Requantize, Reshape};
use provenn_circuits::model::{Head, Node, Range, Scale, TableBits, ValueSpec};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A model with its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) layers: LayerList,
    pub(crate) parameters: Vec<Vec<i64>>,
}

/// Integers that decide a test model.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) rows: usize,
    pub(crate) widths: Vec<usize>,
    pub(crate) weight_bits: u8,
    pub(crate) bias: bool,
    pub(crate) tables: TableBits,
    pub(crate) shift: u8,
    pub(crate) raw_output: bool,
    pub(crate) seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            rows: 1,
            widths: vec![7, 5, 3],
            weight_bits: 8,
            bias: true,
            tables: TableBits { limb: 6, direct: 8 },
            shift: 5,
            raw_output: true,
            seed: 1,
        }
    }
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn uniform(rng: &mut ChaCha20Rng, range: Range) -> i64 {
    range.lo + (rng.next_u64() % (range.hi - range.lo + 1) as u64) as i64
}

impl Recipe {
    /// Fully connected layers of the given widths with rectifiers between them.
    pub(crate) fn build(&self) -> Model {
        let mut rng = rng(self.seed);
        let mut range = Range::new(-20, 31);
        let input_shape = if self.rows == 1 { vec![self.widths[0]] } else { vec![self.rows, self.widths[0]] };
        let mut nodes = Vec::new();
        let mut parameters = Vec::new();
        for (index, pair) in self.widths.windows(2).enumerate() {
            let last = index + 2 == self.widths.len();
            let mut gemm = Gemm {
                inputs: pair[0] as u32,
                outputs: pair[1] as u32,
                weight_bits: self.weight_bits,
                bias_bits: self.bias.then_some(12),
                requantize: None,
            };
            if !(last && self.raw_output) {
                let function = if index % 2 == 0 { Function::Relu } else { Function::Identity };
                let output = if index % 2 == 0 { Range::new(0, 63) } else { Range::new(-31, 31) };
                let worst = gemm.accumulator(range).expect("small models do not overflow");
                let domain = Requantize::domain_of(self.shift, worst);
                gemm.requantize = Some(Requantize { shift: self.shift, function, output, domain });
                range = output;
            }
            let weights = Range::signed(self.weight_bits.into());
            parameters.push((0..pair[0] * pair[1]).map(|_| uniform(&mut rng, weights)).collect());
            if self.bias {
                parameters.push((0..pair[1]).map(|_| uniform(&mut rng, Range::signed(12))).collect());
            }
            nodes.push(Node { layer: Layer::Gemm(gemm), inputs: vec![index as u32] });
        }
        let layers = list(&input_shape, Range::new(-20, 31), nodes, self.tables);
        Model { layers, parameters }
    }
}

pub(crate) fn list(shape: &[usize], range: Range, nodes: Vec<Node>, tables: TableBits) -> LayerList {
    let scale = Scale { mantissa: 1, exponent: 0 };
    LayerList {
        input_shape: shape.iter().map(|&d| d as u32).collect(),
        input_range: range,
        input_scale: scale,
        nodes,
        output_scale: scale,
        head: Head::None,
        tables,
    }
}

pub(crate) fn activation(function: Function, shift: u8, output: Range, domain: u8) -> Layer {
    Layer::Activation(Activation { requantize: Requantize { shift, function, output, domain } })
}

pub(crate) fn reshape(shape: &[u32]) -> Layer {
    Layer::Reshape(Reshape { shape: shape.to_vec() })
}

impl Model {
    pub(crate) fn random_input(&self, seed: u64) -> Vec<i64> {
        let mut rng = rng(seed);
        let len = self.layers.input_shape.iter().map(|&d| d as usize).product::<usize>();
        (0..len).map(|_| uniform(&mut rng, self.layers.input_range)).collect()
    }

    /// The executor's output.
    pub(crate) fn run(&self, input: &[i64]) -> Vec<i64> {
        let specs = self.layers.parameters();
        let shapes = self.layers.values().expect("a valid list");
        let mut values = vec![input.to_vec()];
        for (index, node) in self.layers.nodes.iter().enumerate() {
            let own: Vec<&[i64]> = specs
                .iter()
                .zip(&self.parameters)
                .filter(|(s, _)| s.node == index)
                .map(|(_, p)| &p[..])
                .collect();
            let operand = |&v: &u32| Operand { spec: &shapes[v as usize], values: &values[v as usize] };
            let inputs: Vec<Operand<'_>> = node.inputs.iter().map(operand).collect();
            let spec = &shapes[index + 1];
            let output = node.layer.evaluate(&inputs, spec, &own);
            assert_eq!(output.len(), spec.len(), "{:?}", node.layer);
            assert!(output.iter().all(|&y| spec.range.contains(y)), "{:?} leaves its range", node.layer);
            values.push(output);
        }
        values.pop().expect("a model has a layer")
    }
}

/// A graph under construction: layers with random parameters and the least domains that hold them.
pub(crate) struct Network {
    pub(crate) model: Model,
    values: Vec<ValueSpec>,
    rng: ChaCha20Rng,
}

impl Network {
    pub(crate) fn new(shape: &[usize], range: Range, tables: TableBits, seed: u64) -> Network {
        let layers = list(shape, range, vec![], tables);
        let values = vec![ValueSpec { shape: shape.to_vec(), range }];
        Network { model: Model { layers, parameters: vec![] }, values, rng: rng(seed) }
    }

    pub(crate) fn value(&self, value: usize) -> &ValueSpec {
        &self.values[value]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Adds a layer that reads `inputs`, requantized with the shift, function and output range given, if any; returns its value.
    /// `None` if the layer does not fit, and then nothing is added.
    pub(crate) fn add(
        &mut self,
        mut layer: Layer,
        inputs: &[usize],
        requantize: Option<(u8, Function, Range)>,
    ) -> Option<usize> {
        let node = self.model.layers.nodes.len();
        let specs: Vec<&ValueSpec> = inputs.iter().map(|&value| &self.values[value]).collect();
        let full = |(shift, function, output)| Requantize { shift, function, output, domain: 40 };
        layer.set_requantize(requantize.map(full));
        layer.output(node, &specs).ok()?;
        let parameters: Vec<Vec<i64>> = layer
            .parameters(node)
            .iter()
            .map(|spec| (0..spec.len()).map(|_| uniform(&mut self.rng, Range::signed(spec.bits))).collect())
            .collect();
        let own: Vec<&[i64]> = parameters.iter().map(|p| &p[..]).collect();
        if let Some(&requantize) = layer.requantize() {
            let domain = Requantize::domain_of(requantize.shift, layer.worst_case(&specs, &own)?);
            layer.set_requantize(Some(Requantize { domain, ..requantize }));
        }
        let output = layer.output(node, &specs).ok()?;
        self.values.push(output);
        self.model.parameters.extend(parameters);
        self.model.layers.nodes.push(Node { layer, inputs: inputs.iter().map(|&v| v as u32).collect() });
        Some(self.values.len() - 1)
    }
}
