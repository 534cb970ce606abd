//! Operators that put entries elsewhere, of values and of constants, and shapes that the graph computes.

use crate::check::{check, kinds};
use crate::graphs::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// The shape that a node gives to a value, which must be what it gives to a constant too.
fn moved(
    input: &[i64],
    opset: i64,
    text: &str,
    attributes: &[AttributeProto],
    constants: &[TensorProto],
) -> Vec<usize> {
    let nodes = [node("Relu x -> r", &[]), node(text, attributes)];
    let float = check(&with_opset(model(input, &nodes, constants), opset));
    let shape = float.output_shape().to_vec();
    let of_constant = text.replacen(" r", " k", 1).replace("-> y", "-> c").replace("-> y z", "-> c z");
    let nodes = [
        node(&of_constant, attributes),
        node(text, attributes),
        node("Relu x -> r", &[]),
        node("Add y c -> o", &[]),
    ];
    let nodes = [nodes[2].clone(), nodes[0].clone(), nodes[1].clone(), nodes[3].clone()];
    let constants = [constants, &[random("k", input)]].concat();
    let mut both = with_opset(model(input, &nodes, &constants), opset);
    both.graph.as_mut().unwrap().output[0].name = "o".into();
    let float = check(&both);
    assert_eq!(float.output_shape(), shape, "{text}");
    shape
}

#[test]
fn transpositions() {
    assert_eq!(moved(&[2, 3, 4], 13, "Transpose r -> y", &[], &[]), [4, 3, 2]);
    assert_eq!(moved(&[2, 3, 4], 13, "Transpose r -> y", &[ints("perm", &[1, 0, 2])], &[]), [3, 2, 4]);
    // Moving axes of length 1 only is another shape.
    let nodes = [node("Relu x -> r", &[]), node("Transpose r -> y", &[ints("perm", &[0, 2, 3, 1])])];
    let float = check(&model(&[1, 1, 3, 4], &nodes, &[]));
    assert_eq!((kinds(&float), float.output_shape()), (vec!["Relu", "Reshape"], &[1, 3, 4, 1][..]));
}

#[test]
fn slices_in_every_version() {
    let old = |starts: &[i64], ends: &[i64], axes: &[i64]| {
        let attributes = [ints("starts", starts), ints("ends", ends), ints("axes", axes)];
        moved(&[4, 5], 9, "Slice r -> y", &attributes, &[])
    };
    assert_eq!(old(&[1], &[3], &[0]), [2, 5]);
    assert_eq!(old(&[-2, 1], &[i64::MAX, -1], &[0, 1]), [2, 3]);
    let new = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let lists = [integers("s", starts), integers("e", ends), integers("a", axes), integers("t", steps)];
        moved(&[4, 5], 13, "Slice r s e a t -> y", &[], &lists)
    };
    assert_eq!(new(&[0], &[5], &[1], &[2]), [4, 3]);
    assert_eq!(new(&[-1], &[i64::MIN], &[1], &[-1]), [4, 5]);
    assert_eq!(new(&[100], &[0], &[-1], &[-3]), [4, 2]);
    assert_eq!(new(&[3, 1], &[-100, 4], &[0, 1], &[-2, 1]), [2, 3]);
    let lists = [integers("s", &[1, 2]), integers("e", &[3, 4])];
    assert_eq!(moved(&[4, 5], 10, "Slice r s e -> y", &[], &lists), [2, 2]);
}

#[test]
fn concatenations() {
    let w = [random("w", &[4, 2]), floats("c", &[3, 2], &[0.5; 6])];
    let nodes = [node("MatMul x w -> h", &[]), node("Concat h x h -> y", &[int("axis", -1)])];
    let float = check(&model(&[3, 4], &nodes, &w));
    assert_eq!((kinds(&float), float.output_shape()), (vec!["Gemm", "Arrange"], &[3, 8][..]));
    // A constant that is one number throughout is filled in.
    let nodes = [node("MatMul x w -> h", &[]), node("Concat c h c -> y", &[int("axis", 1)])];
    assert_eq!(check(&model(&[3, 4], &nodes, &w)).output_shape(), [3, 6]);
}

#[test]
fn splits_in_every_version() {
    let one = |opset: i64, attributes: &[AttributeProto], sizes: Option<&[i64]>, expected: &[usize]| {
        let split = if sizes.is_some() { "Split x sizes -> a b c" } else { "Split x -> a b c" };
        let sizes: Vec<TensorProto> = sizes.map(|sizes| integers("sizes", sizes)).into_iter().collect();
        for part in ["a", "b", "c"] {
            let nodes = [node(split, attributes), node(&format!("Relu {part} -> y"), &[])];
            let float = check(&with_opset(model(&[2, 8], &nodes, &sizes), opset));
            assert_eq!(kinds(&float), ["Arrange", "Relu"]);
            assert_eq!(float.output_shape()[1], expected[(part.as_bytes()[0] - b'a') as usize]);
        }
        let nodes = [node(split, attributes), node("Concat c a b -> y", &[int("axis", 1)])];
        assert_eq!(check(&with_opset(model(&[2, 8], &nodes, &sizes), opset)).output_shape(), [2, 8]);
    };
    let axis = int("axis", 1);
    one(9, &[axis.clone(), ints("split", &[1, 5, 2])], None, &[1, 5, 2]);
    one(13, std::slice::from_ref(&axis), Some(&[1, 5, 2]), &[1, 5, 2]);
    one(18, &[int("axis", -1), int("num_outputs", 3)], None, &[3, 3, 2]);
    one(18, &[axis], Some(&[2, 2, 4]), &[2, 2, 4]);
    let nodes = [node("Split x -> a b", &[int("axis", 1)]), node("Mul a b -> y", &[])];
    for opset in [9, 13, 17] {
        check(&with_opset(model(&[2, 8], &nodes, &[]), opset));
    }
}

#[test]
fn padding_in_every_version() {
    let pads = [1, 0, 2, 3];
    for value in [0.0, -1.5] {
        let attributes = [text("mode", "constant"), ints("pads", &pads), float("value", value)];
        assert_eq!(moved(&[2, 3], 9, "Pad r -> y", &attributes, &[]), [5, 6]);
        let constants = [integers("p", &pads), floats("v", &[], &[value])];
        assert_eq!(moved(&[2, 3], 11, "Pad r p v -> y", &[text("mode", "constant")], &constants), [5, 6]);
    }
    assert_eq!(moved(&[2, 3], 13, "Pad r p -> y", &[], &[integers("p", &pads)]), [5, 6]);
    let constants = [integers("p", &[1, 2]), integers("axes", &[-1])];
    assert_eq!(moved(&[2, 3], 18, "Pad r p _ axes -> y", &[], &constants), [2, 6]);
    // Negative padding cuts off.
    assert_eq!(moved(&[4, 3], 13, "Pad r p -> y", &[], &[integers("p", &[-1, 1, -2, 0])]), [1, 4]);
    assert_eq!(moved(&[4, 3], 9, "Pad r -> y", &[ints("pads", &[0, -1, 1, 0])], &[]), [5, 2]);
}

#[test]
fn gathers() {
    let one = |axis: i64, indices: TensorProto| {
        moved(&[3, 4, 5], 13, "Gather r i -> y", &[int("axis", axis)], &[indices])
    };
    assert_eq!(one(1, integer("i", 2)), [3, 5]);
    assert_eq!(one(-1, integer("i", -1)), [3, 4]);
    assert_eq!(one(0, integers("i", &[2])), [1, 4, 5]);
    assert_eq!(one(1, integers("i", &[3, 1])), [3, 2, 5]);
    assert_eq!(one(1, integers("i", &[3, 0, 2])), [3, 3, 5]);
    assert_eq!(one(2, integers("i", &[1, 1, 1])), [3, 4, 3]);
    assert_eq!(one(1, TensorProto { dims: vec![2, 2], ..integers("i", &[3, 0, 2, -4]) }), [3, 2, 2, 5]);
}

#[test]
fn repetitions() {
    let one = |operator: &str, list: &[i64]| {
        moved(&[3, 1, 2], 13, &format!("{operator} r s -> y"), &[], &[integers("s", list)])
    };
    assert_eq!(one("Expand", &[3, 4, 2]), [3, 4, 2]);
    assert_eq!(one("Expand", &[5, 1, 1, 2]), [5, 3, 1, 2]);
    assert_eq!(one("Expand", &[1]), [3, 1, 2]);
    assert_eq!(one("Tile", &[1, 3, 1]), [3, 3, 2]);
    assert_eq!(one("Tile", &[2, 1, 3]), [6, 1, 6]);
}

#[test]
fn space_and_depth() {
    let one = |text: &str, attributes: &[AttributeProto], input: &[i64]| {
        let nodes = [node("Relu x -> r", &[]), node(text, attributes)];
        check(&with_opset(model(input, &nodes, &[]), 13)).output_shape().to_vec()
    };
    let block = int("blocksize", 2);
    for mode in ["DCR", "CRD"] {
        let attributes = [block.clone(), text("mode", mode)];
        assert_eq!(one("DepthToSpace r -> y", &attributes, &[1, 8, 2, 3]), [1, 2, 4, 6]);
    }
    assert_eq!(one("SpaceToDepth r -> y", &[block], &[1, 2, 4, 6]), [1, 8, 2, 3]);
}

#[test]
fn reshapes_are_resolved() {
    for (axis, expected) in
        [(0, [1, 24]), (1, [2, 12]), (2, [6, 4]), (3, [24, 1]), (-1, [6, 4]), (-3, [1, 24])]
    {
        assert_eq!(moved(&[2, 3, 4], 13, "Flatten r -> y", &[int("axis", axis)], &[]), expected);
    }
    for (shape, expected) in [
        (&[-1, 6][..], &[4, 6][..]),
        (&[0, -1], &[2, 12]),
        (&[0, 0, 2, 2], &[2, 3, 2, 2]),
        (&[24], &[24]),
        (&[4, 0, 2], &[4, 3, 2]),
    ] {
        assert_eq!(moved(&[2, 3, 4], 13, "Reshape r s -> y", &[], &[integers("s", shape)]), expected);
    }
    let allow_zero = [int("allowzero", 1)];
    assert_eq!(moved(&[2, 3, 4], 14, "Reshape r s -> y", &allow_zero, &[integers("s", &[2, -1])]), [2, 12]);
}

#[test]
fn axes_of_length_one_come_and_go() {
    let old = |text: &str, axes: &[i64]| moved(&[1, 3, 1, 4], 9, text, &[ints("axes", axes)], &[]);
    let new = |text: &str, axes: &[i64]| moved(&[1, 3, 1, 4], 13, text, &[], &[integers("a", axes)]);
    assert_eq!(old("Squeeze r -> y", &[0, 2]), [3, 4]);
    assert_eq!(new("Squeeze r a -> y", &[-2]), [1, 3, 4]);
    assert_eq!(moved(&[1, 3, 1, 4], 13, "Squeeze r -> y", &[], &[]), [3, 4]);
    assert_eq!(old("Unsqueeze r -> y", &[0, -1]), [1, 1, 3, 1, 4, 1]);
    assert_eq!(new("Unsqueeze r a -> y", &[1]), [1, 1, 3, 1, 4]);
}

#[test]
fn upsampling_in_every_version() {
    let scales = || floats("s", &[4], &[1.0, 1.0, 2.0, 3.0]);
    let nearest = text("mode", "nearest");
    let one = |opset: i64, text: &str, attributes: &[AttributeProto], constants: &[TensorProto]| {
        let nodes = [node("Relu x -> r", &[]), node(text, attributes)];
        let float = check(&with_opset(model(&[1, 2, 3, 4], &nodes, constants), opset));
        assert_eq!(kinds(&float), ["Relu", "Arrange"]);
        float.output_shape().to_vec()
    };
    assert_eq!(one(9, "Upsample r s -> y", std::slice::from_ref(&nearest), &[scales()]), [1, 2, 6, 12]);
    assert_eq!(one(10, "Resize r s -> y", std::slice::from_ref(&nearest), &[scales()]), [1, 2, 6, 12]);
    let asymmetric = [
        nearest.clone(),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ];
    let half = [nearest.clone(), text("coordinate_transformation_mode", "half_pixel")];
    let pytorch = [nearest.clone(), text("coordinate_transformation_mode", "pytorch_half_pixel")];
    let empty = || floats("roi", &[0], &[]);
    for attributes in [&asymmetric[..], &half, &pytorch, &[]] {
        for opset in [11, 13, 18, 19] {
            assert_eq!(one(opset, "Resize r roi s -> y", attributes, &[empty(), scales()]), [1, 2, 6, 12]);
            assert_eq!(one(opset, "Resize r _ s -> y", attributes, &[scales()]), [1, 2, 6, 12]);
            let sizes = integers("t", &[1, 2, 9, 8]);
            assert_eq!(one(opset, "Resize r _ _ t -> y", attributes, &[sizes]), [1, 2, 9, 8]);
        }
    }
    let axes = [&asymmetric[..], &[ints("axes", &[2, 3])]].concat();
    assert_eq!(one(18, "Resize r _ s -> y", &axes, &[floats("s", &[2], &[3.0, 2.0])]), [1, 2, 9, 8]);
    // By whole factors down, and what changes nothing.
    assert_eq!(
        one(13, "Resize r _ s -> y", &asymmetric, &[floats("s", &[4], &[1.0, 1.0, 1.0, 0.5])]),
        [1, 2, 3, 2]
    );
    for opset in [9, 10, 13] {
        let text = match opset {
            9 => "Upsample x s -> r",
            10 => "Resize x s -> r",
            _ => "Resize x _ s -> r",
        };
        let nodes = [node(text, std::slice::from_ref(&nearest)), node("Relu r -> y", &[])];
        let float = check(&with_opset(model(&[1, 2, 3, 4], &nodes, &[floats("s", &[4], &[1.0; 4])]), opset));
        assert_eq!(kinds(&float), ["Relu"]);
    }
}

fn plain(texts: &[&str]) -> Vec<NodeProto> {
    texts.iter().map(|text| node(text, &[])).collect()
}

#[test]
fn shapes_that_the_graph_computes() {
    // As PyTorch writes x.view(x.size(0), -1), before and from operator set 13 on.
    for opset in [9, 11, 13, 17] {
        let unsqueeze = |text: &str| {
            if opset < 13 {
                node(&text.replace(" zero_axis", ""), &[ints("axes", &[0])])
            } else {
                node(text, &[])
            }
        };
        let nodes = [
            node("Shape x -> s", &[]),
            node("Constant -> zero", &[tensor("value", integer("", 0))]),
            node("Gather s zero -> n", &[int("axis", 0)]),
            node("Constant -> minus", &[tensor("value", integers("", &[-1]))]),
            unsqueeze("Unsqueeze n zero_axis -> u"),
            node("Concat u minus -> t", &[int("axis", 0)]),
            node("Reshape x t -> f", &[]),
            node("MatMul f w -> y", &[]),
        ];
        let constants = [random("w", &[12, 5]), integers("zero_axis", &[0])];
        for batch in [0, 1, 2] {
            let float = check(&with_opset(model(&[batch, 3, 4], &nodes, &constants), opset));
            assert_eq!(kinds(&float), ["Reshape", "Gemm"]);
        }
    }
}

#[test]
fn arithmetic_of_constants() {
    let constants = [
        integers("two", &[2]),
        integers("one", &[1]),
        integers("zero", &[0]),
        integer("start", 1),
        integer("end", 3),
        integer("step", 1),
        random("w", &[4, 6]),
        floats("c", &[6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        floats("e", &[], &[-0.5]),
        floats("d", &[1], &[2.5]),
    ];
    let minus_ones = codes("", DataType::Int64, &[1], &[]);
    let minus_ones = TensorProto { int64_data: vec![-1], ..minus_ones };
    let nodes = [
        plain(&["Shape x -> s"]),
        // [3, 8] of x's shape [6, 4], in many steps.
        vec![node("Slice s zero one zero -> rows", &[]), node("Slice s one two zero -> columns", &[])],
        plain(&["Div rows two -> r", "Mul columns two -> k", "Sub k one -> k1", "Add k1 one -> k2"]),
        vec![node("Concat r k2 -> rk", &[int("axis", 0)]), node("Cast rk -> rf", &[int("to", 1)])],
        plain(&["Floor rf -> rg", "Ceil rg -> rh", "Round rh -> ri"]),
        vec![node("Cast ri -> target", &[int("to", 7)])],
        // Where(Equal(target, -1), ones, target), as Expand is exported.
        vec![
            node("Shape target -> tl", &[]),
            node("ConstantOfShape tl -> m", &[tensor("value", minus_ones)]),
        ],
        plain(&["Equal target m -> q", "Not q -> nq", "Where nq target m -> shape", "Reshape x shape -> f"]),
        vec![node("Range start end step -> range", &[]), node("Gather f range -> g", &[int("axis", 0)])],
        plain(&["Transpose w -> wt"]),
        // 8 weights for each of 2 outputs.
        vec![node("Slice wt zero two zero -> w2", &[])],
        plain(&["Neg w2 -> w3", "Abs w3 -> w4", "Sqrt w4 -> w5", "Reciprocal d -> rd", "Mul w5 rd -> w6"]),
        vec![
            node("Concat w6 w2 -> w7", &[int("axis", 1)]),
            node("Transpose w7 -> w8", &[ints("perm", &[1, 0])]),
        ],
        plain(&[
            "Pow c e -> ce",
            "Exp ce -> ex",
            "Log ex -> ln",
            "ReduceProd shape -> all",
            "Greater all zero -> gt",
        ]),
        vec![node("Slice ln zero two zero -> bias", &[])],
        plain(&["Where gt bias bias -> b", "Gemm g w8 b -> y"]),
    ]
    .concat();
    let float = check(&model(&[6, 4], &nodes, &constants));
    assert_eq!((kinds(&float), float.output_shape()), (vec!["Reshape", "Arrange", "Gemm"], &[2, 2][..]));
}

#[test]
fn constants_of_every_form() {
    let values = [
        vec![AttributeProto { floats: vec![1.0, 2.0, 3.0], r#type: 6, ..float("value_floats", 0.0) }],
        vec![float("value_float", 1.5)],
        vec![tensor("value", random("", &[2, 3]))],
    ];
    for value in values {
        let nodes = [node("Constant -> c", &value), node("Mul x c -> y", &[])];
        check(&model(&[2, 3], &nodes, &[]));
    }
    for value in [ints("value_ints", &[3, 2]), int("value_int", 6)] {
        let nodes = [
            node("Constant -> s", &[value]),
            node("Reshape s flat -> t", &[]),
            node("Reshape x t -> r", &[]),
        ];
        let nodes = [&nodes[..], &[node("Relu r -> y", &[])]].concat();
        check(&model(&[2, 3], &nodes, &[integers("flat", &[-1])]));
    }
}
