//! A key: model, layers and sizes.

use crate::failure::Failure;
use crate::output::{Lines, Report, count, head_name, table};
use provenn::{Error, LayerList, ModelId, Modes, Notes};
use provenn_circuits::artifact::{Kind, VERSION};
use provenn_circuits::layers::{Layer, Window};
use provenn_circuits::model::{Node, ParameterKind, Range, Scale, ValueSpec};
use provenn_circuits::system::{KeyShape, System};
use provenn_circuits::tables::Table;
use serde_json::{Value, json};

pub(super) fn describe(
    mut lines: Lines,
    kind: Kind,
    bytes: usize,
    model_id: ModelId,
    layers: &LayerList,
    shape: &KeyShape,
    notes: Option<&Notes>,
) -> Result<Report, Failure> {
    let values = layers.values().map_err(Error::from)?;
    let parameters: usize = layers.parameters().iter().map(|spec| spec.len()).sum();
    let macs = layers.macs().map_err(Error::from)?;
    let system = shape.inference(Modes::PUBLIC);

    lines.line("model ID", model_id);
    if let Some(source) = notes.and_then(|notes| notes.source.as_deref()) {
        lines.line("source", source);
    }
    lines.line("model", format!("{} parameters, {} multiplications", count(parameters as u64), count(macs)));
    if let [input, .., output] = values.as_slice() {
        lines.line("input", value_text(input, layers.input_scale));
        lines.line("output", value_text(output, layers.output_scale));
    }
    lines.line("head", format!("{}, not proved", head_name(layers.head)));
    lines.text("\n").text(&layer_table(layers, &values, notes)).text("\n");
    lines
        .line("tables", system.circuit.tables.iter().map(table_text).collect::<Vec<_>>().join("; "))
        .line("sizes", format!("n = {} rows a column, k = {} for halo2", shape.n, shape.k))
        .line(
            "key",
            format!("{} weight columns; key proof: {}", shape.key.layout.weights.len(), sizes(&shape.key)),
        )
        .line("proof", sizes(system))
        .line(
            "security",
            format!(
                "about 126 bits (discrete logarithms); statistical error below 2^-{}",
                system.statistical_bits(shape.k).min(shape.key.statistical_bits(shape.k))
            ),
        );

    let json = json!({
        "kind": kind.name(),
        "version": VERSION,
        "bytes": bytes,
        "model_id": model_id.to_string(),
        "source": notes.and_then(|notes| notes.source.clone()),
        "fidelity": notes.and_then(|notes| notes.fidelity.clone()),
        "parameters": parameters,
        "macs": macs,
        "input": value_json(values.first(), layers.input_scale),
        "output": value_json(values.last(), layers.output_scale),
        "head": head_name(layers.head),
        "layers": layers.nodes.iter().enumerate().map(|(index, node)| json!({
            "name": name(notes, index),
            "kind": node.layer.kind(),
            "inputs": node.inputs,
            "parameters": layers.parameters().iter().filter(|spec| spec.node == index).map(|spec| json!({
                "kind": parameter_name(spec.kind),
                "shape": spec.shape,
                "bits": spec.bits,
            })).collect::<Vec<_>>(),
            "requantize": node.layer.requantize().map(|r| json!({
                "shift": r.shift,
                "function": r.function.name(),
                "domain_bits": r.domain,
                "output": [r.output.lo, r.output.hi],
            })),
            "output_shape": values.get(index + 1).map(|v| &v.shape),
            "output_range": values.get(index + 1).map(|v| [v.range.lo, v.range.hi]),
        })).collect::<Vec<_>>(),
        "tables": system.circuit.tables.iter().map(table_text).collect::<Vec<_>>(),
        "table_bits": { "limb": layers.tables.limb, "direct": layers.tables.direct },
        "n": shape.n,
        "k": shape.k,
        "weight_columns": shape.key.layout.weights.len(),
        "key_proof": sizes_json(&shape.key),
        "proof": sizes_json(system),
    });
    Ok(Report::good(lines.finish(), json))
}

fn layer_table(layers: &LayerList, values: &[ValueSpec], notes: Option<&Notes>) -> String {
    let heads =
        ["", "layer", "kind", "reads", "weights", "bits", "shift", "function", "domain", "output", "range"];
    let mut rows = vec![heads.map(str::to_string).to_vec()];
    let parameters = layers.parameters();
    for (index, node) in layers.nodes.iter().enumerate() {
        let of_node = || parameters.iter().filter(|spec| spec.node == index);
        let weights = of_node().find(|spec| spec.kind == ParameterKind::Weight);
        let requantize = node.layer.requantize();
        let output = values.get(index + 1);
        rows.push(vec![
            index.to_string(),
            name(notes, index).unwrap_or_default(),
            kind_text(&node.layer),
            reads(node),
            weights.map(|spec| format!("{:?}", spec.shape)).unwrap_or_default(),
            of_node().map(|spec| spec.bits.to_string()).collect::<Vec<_>>().join("+"),
            requantize.map(|r| r.shift.to_string()).unwrap_or_default(),
            requantize.map(|r| r.function.name().to_string()).unwrap_or_default(),
            requantize.map(|r| format!("{} bits", r.domain + 1)).unwrap_or_default(),
            output.map(|v| format!("{:?}", v.shape)).unwrap_or_default(),
            output.map(|v| range_text(v.range)).unwrap_or_default(),
        ]);
    }
    table(&rows)
}

fn name(notes: Option<&Notes>, index: usize) -> Option<String> {
    notes?.layer_names.get(index).cloned()
}

/// The kind with what decides its cost, as in `Conv 5x5/2`.
fn kind_text(layer: &Layer) -> String {
    let window = |window: &Window| {
        let list = |list: &[u32]| list.iter().map(u32::to_string).collect::<Vec<_>>().join("x");
        let strided = window.strides.iter().any(|&stride| stride > 1);
        let stride = if strided { format!("/{}", list(&window.strides)) } else { String::new() };
        format!(" {}{stride}", list(&window.kernel))
    };
    let detail = match layer {
        Layer::Conv(conv) if conv.groups > 1 => format!("{} in {} groups", window(&conv.window), conv.groups),
        Layer::Conv(conv) => window(&conv.window),
        Layer::MaxPool(pool) => window(&pool.window),
        Layer::AveragePool(pool) => window(&pool.window),
        _ => String::new(),
    };
    format!("{}{detail}", layer.kind())
}

/// The values that a node reads: `input`, or the number of the layer that gives it.
fn reads(node: &Node) -> String {
    let name = |value: &u32| value.checked_sub(1).map_or("input".to_string(), |node| node.to_string());
    node.inputs.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn parameter_name(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Weight => "weight",
        ParameterKind::Bias => "bias",
    }
}

fn range_text(range: Range) -> String {
    format!("{} to {}", range.lo, range.hi)
}

fn scale_text(scale: Scale) -> String {
    format!("{} * 2^{}", scale.mantissa, scale.exponent)
}

fn value_text(value: &ValueSpec, scale: Scale) -> String {
    format!("{:?}, {}, one step is {}", value.shape, range_text(value.range), scale_text(scale))
}

fn value_json(value: Option<&ValueSpec>, scale: Scale) -> Value {
    json!({
        "shape": value.map(|v| &v.shape),
        "range": value.map(|v| [v.range.lo, v.range.hi]),
        "scale": { "mantissa": scale.mantissa, "exponent": scale.exponent },
    })
}

fn table_text(table: &Table) -> String {
    match table {
        Table::Range { bits } => format!("range of {bits} bits"),
        Table::Clamp { function, lo, hi, bits } => {
            format!("{} of {} bits to {lo}..{hi}", function.name(), bits + 1)
        }
        Table::Rectify { bits } => format!("rectifier of {} bits", bits + 1),
        Table::Saturate { split, bits } => {
            format!("saturation of {} bits to {}", split + bits + 1, split + 1)
        }
    }
}

fn sizes(system: &System) -> String {
    let counts = system.counts();
    format!(
        "{} columns, {} values, {} look-ups in {} leaves, {} rounds, {} gates",
        counts.columns,
        count(counts.committed as u64),
        count(counts.lookups as u64),
        count(counts.leaves as u64),
        counts.rounds,
        counts.gates
    )
}

fn sizes_json(system: &System) -> Value {
    let counts = system.counts();
    json!({
        "columns": counts.columns,
        "values": counts.committed,
        "lookups": counts.lookups,
        "leaves": counts.leaves,
        "rounds": counts.rounds,
        "gates": counts.gates,
    })
}
