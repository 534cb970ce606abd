//! What cannot be imported is refused with an error that names the place, and nothing panics.

use crate::graphs::*;
use provenn_models::onnx::{OPERATORS, Support, support};
use provenn_models::{import, zoo};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto};

fn refusal(model: &ModelProto) -> String {
    import(&bytes(model)).unwrap_err().to_string()
}

#[track_caller]
fn refused(nodes: &[NodeProto], initializers: &[TensorProto], expected: &str) {
    let message = refusal(&model(&[2, 4], nodes, initializers));
    assert!(message.contains(expected) && !message.contains('\n'), "{message}");
}

#[test]
fn operators_and_attributes_are_named() {
    let w = || vec![random("w", &[4, 5]), random("b", &[5]), integers("s", &[-1, 2])];
    let one = |text: &str, attributes: &[AttributeProto], expected: &str| {
        refused(&[node(text, attributes)], &w(), expected);
    };
    one("Sin x -> y", &[], "node Sin -> y: operator Sin is not supported: export the model without it, ");
    one(
        "QLinearConv x -> y",
        &[],
        "operator QLinearConv is not supported: quantize the model statically, in the format",
    );
    one("ConvInteger x -> y", &[], "operator ConvInteger is not supported: quantize the model statically");
    one("If x -> y", &[], "operator If is not supported: export the model with fixed shapes");
    one("Gemm x w -> y", &[int("transA", 1)], "attribute transA of Gemm is 1, expected 0");
    one("Gemm x w -> y", &[int("transB", 2)], "attribute transB of Gemm is 2, expected 0 or 1");
    one("Gemm x w -> y", &[float("alpha", f32::NAN)], "attribute alpha of Gemm is NaN");
    one(
        "Gemm x w -> y",
        &[float("transB", 1.0)],
        "attribute transB of Gemm is of type FLOAT, expected type INT",
    );
    one("Gemm x w -> y", &[int("gamma", 1)], "attribute gamma of Gemm is set, expected no such attribute");
    one("Gemm w x -> y", &[], "operand 0 of Gemm is the constant w");
    one("Gemm x x -> y", &[], "operand 1 of Gemm is x, which depends on the input, expected a constant");
    one("Gemm x -> y", &[], "operand 1 of Gemm is missing");
    one("Gemm x nothing -> y", &[], "operand 1 of Gemm is nothing, which nothing before it gives");
    one("Gemm x w s -> y", &[], "tensor s: element type an integer is not supported, expected FLOAT");
    one("Gemm x w w -> y", &[], "shape [4, 5] does not fit, expected a bias w of 5 entries");
    one("Gemm x w b b -> y", &[], "operand 3 of Gemm is set, expected at most 3 operands");
    one("MatMul x b -> y", &[], "shape [5] does not fit, expected weights b with two axes");
    one("MatMul x x -> y", &[], "operand 1 of MatMul is x, which depends on the input, expected a constant");
    one(
        "MatMul w w -> y",
        &[],
        "operand 1 of MatMul is the constant w, expected a value that depends on the input",
    );
    one(
        "Relu w -> y",
        &[],
        "operand 0 of Relu is the constant w, expected a value that depends on the input",
    );
    one("Floor x -> y", &[], "operand 0 of Floor is x, which depends on the input, expected a constant");
    one("Softmax x -> y", &[int("axis", 0)], "attribute axis of Softmax is 0, expected 1, the last one");
    one("ArgMax x -> y", &[int("axis", 1), int("select_last_index", 1)], "select_last_index of ArgMax is 1");
    one("ArgMax x -> y", &[], "attribute axis of ArgMax is 0, expected 1");
    for text in ["Softmax x -> y", "Identity x -> y", "Identity x -> z", "Identity w -> y", "Shape x -> y"] {
        one(text, &[], "no layer to prove");
    }
    let mut named = node("LSTM x w -> y", &[]);
    named.name = "/c1/LSTM".into();
    refused(&[named], &w(), "node /c1/LSTM: operator LSTM is not supported");
    let mut foreign = node("Relu x -> y", &[]);
    foreign.domain = "com.microsoft".into();
    refused(&[foreign], &w(), "operator com.microsoft.Relu is not supported");
}

#[test]
fn nothing_follows_the_end_and_nothing_is_defined_twice() {
    let w = [random("w", &[4, 4])];
    let softmax = [node("Softmax x -> s", &[]), node("MatMul s w -> y", &[])];
    refused(&softmax, &w, "operator MatMul is not supported: nothing may follow Softmax -> s");
    let classes = [node("ArgMax x -> s", &[int("axis", 1)]), node("ArgMax s -> y", &[int("axis", 1)])];
    refused(&classes, &w, "nothing may follow ArgMax -> s");
    let twice = [node("Relu x -> y", &[]), node("Identity x -> y", &[])];
    refused(&twice, &w, "tensor y has another producer");
    let unordered = [node("Relu h -> y", &[]), node("MatMul x w -> h", &[])];
    refused(&unordered, &w, "operand 0 of Relu is h, which nothing before it gives");
}

/// Refused over an input of this shape.
#[track_caller]
fn refused_over(
    input: &[i64],
    text: &str,
    attributes: &[AttributeProto],
    constants: &[TensorProto],
    expected: &str,
) {
    let message = refusal(&model(input, &[node(text, attributes)], constants));
    assert!(message.contains(expected) && !message.contains('\n'), "{message}");
}

#[test]
fn convolutions_are_checked() {
    let one = |attributes: &[AttributeProto], weight: &[i64], expected: &str| {
        for (operator, weight) in
            [("Conv", weight.to_vec()), ("ConvTranspose", [&[weight[1], weight[0]], &weight[2..]].concat())]
        {
            let expected = expected.replace("CONV", operator);
            let weight = random("w", &weight);
            refused_over(&[1, 4, 6, 6], &format!("{operator} x w -> y"), attributes, &[weight], &expected);
        }
    };
    one(
        &[ints("strides", &[0, 1])],
        &[4, 4, 3, 3],
        "attribute strides of CONV is [0, 1], expected 2 numbers from 1 to",
    );
    one(&[ints("strides", &[1])], &[4, 4, 3, 3], "attribute strides of CONV is [1], expected 2 numbers");
    one(&[ints("dilations", &[-1, 1])], &[4, 4, 3, 3], "attribute dilations of CONV is [-1, 1]");
    one(
        &[ints("pads", &[0, 0, -1, 0])],
        &[4, 4, 3, 3],
        "attribute pads of CONV is [0, 0, -1, 0], expected 4 numbers from 0 to",
    );
    one(
        &[ints("kernel_shape", &[3, 2])],
        &[4, 4, 3, 3],
        "attribute kernel_shape of CONV is [3, 2], expected [3, 3]",
    );
    one(&[text("auto_pad", "SAME")], &[4, 4, 3, 3], "attribute auto_pad of CONV is SAME, expected NOTSET");
    one(&[int("group", 0)], &[4, 4, 3, 3], "attribute group of CONV is 0, expected at least 1");
    one(&[int("group", i64::MIN)], &[4, 4, 3, 3], "attribute group of CONV is -9223372036854775808");
    one(&[int("groups", 1)], &[4, 4, 3, 3], "attribute groups of CONV is set");
    one(&[], &[4, 3, 3, 3], "expected weights w for 4 channels in 1 groups");
    one(&[], &[4, 4, 3], "expected weights w with 4 axes, none empty");
    one(&[], &[4, 4, 3, 0], "expected weights w with 4 axes, none empty");
    let conv = |attributes: &[AttributeProto], weight: &[i64], expected: &str| {
        refused_over(&[1, 4, 6, 6], "Conv x w -> y", attributes, &[random("w", weight)], expected);
    };
    conv(&[int("group", 3)], &[3, 1, 1, 1], "attribute group of Conv is 3, expected a divisor of 4 channels");
    conv(
        &[int("group", 2)],
        &[3, 2, 1, 1],
        "attribute group of Conv is 2, expected a divisor of 4 channels and 3 outputs",
    );
    conv(&[], &[4, 4, 7, 1], "attribute kernel_shape of Conv is 7, expected at most 6");
    conv(
        &[ints("dilations", &[i64::from(i32::MAX); 2])],
        &[4, 4, 2, 2],
        "attribute kernel_shape of Conv is 2147483648",
    );
    conv(
        &[text("auto_pad", "SAME_UPPER"), ints("pads", &[1, 1, 1, 1])],
        &[4, 4, 3, 3],
        "attribute pads of Conv is [1, 1, 1, 1], expected none beside auto_pad",
    );
    conv(&[ints("pads", &[i64::from(i32::MAX); 4])], &[4, 4, 3, 3], "expected lengths from 1 to");
    conv(&[ints("pads", &[1 << 20; 4])], &[4, 4, 3, 3], "expected a padded input of at most");
    let bias = [random("w", &[4, 4, 3, 3]), random("b", &[1, 4])];
    refused_over(&[1, 4, 6, 6], "Conv x w b -> y", &[], &bias, "expected a bias b of 4 entries");
    refused_over(
        &[4, 6],
        "Conv x w -> y",
        &[],
        &bias,
        "shape [4, 6] does not fit, expected a batch, channels and 1 to 3",
    );
    refused_over(
        &[1, 4, 6, 6],
        "Conv x x -> y",
        &[],
        &[],
        "operand 1 of Conv is x, which depends on the input",
    );
    let transposed = |attributes: &[AttributeProto], expected: &str| {
        refused_over(
            &[1, 4, 6, 6],
            "ConvTranspose x w -> y",
            attributes,
            &[random("w", &[4, 4, 3, 3])],
            expected,
        );
    };
    transposed(&[ints("pads", &[4; 4])], "expected lengths from 1 to");
    transposed(&[ints("strides", &[1 << 30; 2])], "expected lengths from 1 to");
    transposed(
        &[ints("output_shape", &[0, 5])],
        "attribute output_shape of ConvTranspose is [0, 5], expected 2 numbers",
    );
    transposed(
        &[text("auto_pad", "SAME_UPPER"), ints("strides", &[4, 4])],
        "attribute auto_pad of ConvTranspose is SAME_UPPER, expected a kernel as long",
    );
}

#[test]
fn pools_are_checked() {
    let kernel = ints("kernel_shape", &[2, 2]);
    for operator in ["MaxPool", "AveragePool"] {
        let one = |attributes: &[AttributeProto], expected: &str| {
            let expected = expected.replace("POOL", operator);
            refused_over(&[1, 2, 4, 4], &format!("{operator} x -> y"), attributes, &[], &expected);
        };
        one(&[], "attribute kernel_shape of POOL is missing, expected 2 lengths");
        one(&[ints("kernel_shape", &[2])], "attribute kernel_shape of POOL is [2], expected 2 numbers");
        one(&[ints("kernel_shape", &[0, 2])], "attribute kernel_shape of POOL is [0, 2]");
        one(&[ints("kernel_shape", &[5, 2])], "attribute kernel_shape of POOL is 5, expected at most 4");
        one(
            &[kernel.clone(), ints("pads", &[2, 0, 0, 0])],
            "attribute pads of POOL is [[2, 0], [0, 0]], expected less padding: window 0",
        );
        one(&[kernel.clone(), int("ceil_mode", 2)], "attribute ceil_mode of POOL is 2, expected 0 or 1");
        refused_over(
            &[4, 4],
            &format!("{operator} x -> y"),
            std::slice::from_ref(&kernel),
            &[],
            "expected a batch, channels and 1 to 3",
        );
    }
    // A window whose positions all jump over a short input.
    let attributes = [ints("kernel_shape", &[2]), ints("dilations", &[4]), ints("pads", &[3, 3])];
    refused_over(&[1, 1, 2], "MaxPool x -> y", &attributes, &[], "window 1 of spatial axis 0 has no input");
    let nodes = [node("MaxPool x -> m i", &[kernel]), node("Add m i -> y", &[])];
    let message = refusal(&model(&[1, 2, 4, 4], &nodes, &[]));
    assert!(message.contains("only its first output can be read, i is read too"), "{message}");
    refused_over(
        &[2, 3],
        "GlobalAveragePool x -> y",
        &[],
        &[],
        "expected a batch, channels and spatial axes",
    );
    refused_over(
        &[2, 3],
        "ReduceMean x -> y",
        &[ints("axes", &[2])],
        &[],
        "attribute axes of ReduceMean is [2], expected different axes from -2 to 1",
    );
    refused_over(
        &[2, 3],
        "ReduceMax x -> y",
        &[ints("axes", &[1, -1])],
        &[],
        "attribute axes of ReduceMax is [1, -1]",
    );
    refused_over(
        &[2, 3],
        "ReduceSum x -> y",
        &[ints("axes", &[1])],
        &[],
        "attribute axes of ReduceSum is set",
    );
}

#[test]
fn sums_and_products_are_checked() {
    let constants = [
        random("b", &[3]),
        floats("z", &[4], &[1.0, 0.0, 1.0, 1.0]),
        integers("i", &[4]),
        floats("h", &[], &[0.5]),
    ];
    let one = |text: &str, expected: &str| refused_over(&[2, 4], text, &[], &constants, expected);
    one("Add x b -> y", "shape [3] does not fit, expected a shape that broadcasts with [2, 4]");
    one("Mul b x -> y", "shape [3] does not fit, expected a shape that broadcasts with [2, 4]");
    one("Add x i -> y", "tensor i: element type an integer is not supported, expected FLOAT");
    one("Div x z -> y", "operand 1 of Div is z, whose entry 1 has no reciprocal");
    one("Div z x -> y", "operand 1 of Div is x, which depends on the input, expected a constant");
    one("Div x x -> y", "operand 1 of Div is x, which depends on the input, expected a constant");
    one("Pow x h -> y", "operand 1 of Pow is 0.5, expected the exponent 1, 2 or 3");
    one("Sum x b -> y", "operand 1 of Sum is the constant b");
    one("Max x z -> y", "shape [4] does not fit, expected one number in z");
    one("Max x x -> y", "operand 1 of Max is x, which depends on the input, expected a constant");
    one("PRelu x b -> y", "expected a slope b that expands to [2, 4]");
    let mul = [node("Relu x -> r", &[]), node("Reshape r s -> t", &[]), node("Mul r t -> y", &[])];
    refused(
        &mul,
        &[integers("s", &[8])],
        "shape [8] does not fit, expected a shape that broadcasts with [2, 4]",
    );
    let c = |channels: i64, variance: f32| {
        let list = |name: &str| random(name, &[channels]);
        vec![list("s"), list("b"), list("m"), floats("v", &[channels], &vec![variance; channels as usize])]
    };
    let normalize = |attributes: &[AttributeProto], constants: &[TensorProto], expected: &str| {
        refused_over(&[2, 4], "BatchNormalization x s b m v -> y", attributes, constants, expected);
    };
    normalize(
        &[int("training_mode", 1)],
        &c(4, 1.0),
        "attribute training_mode of BatchNormalization is 1, expected 0",
    );
    normalize(&[], &c(3, 1.0), "shape [3] does not fit, expected 4 entries in s");
    normalize(&[], &c(4, -1.0), "operand 4 of BatchNormalization is -1 in channel 0");
    refused_over(&[4], "BatchNormalization x s b m v -> y", &[], &c(4, 1.0), "expected a batch and channels");
    let nodes = [node("BatchNormalization x s b m v -> n m2 v2", &[]), node("Add n m2 -> y", &[])];
    refused(&nodes, &c(4, 1.0), "only its first output can be read, m2 is read too");
}

#[test]
fn functions_are_checked() {
    let one = |text: &str, attributes: &[AttributeProto], expected: &str| {
        let constants = [
            floats("lo", &[], &[1.0]),
            floats("hi", &[], &[-1.0]),
            floats("nan", &[], &[f32::NAN]),
            random("l", &[2]),
        ];
        refused_over(&[2, 4], text, attributes, &constants, expected);
    };
    one(
        "LeakyRelu x -> y",
        &[float("alpha", f32::INFINITY)],
        "attribute alpha of LeakyRelu is inf, expected a finite number",
    );
    one("Elu x -> y", &[float("alpha", 1e-30)], "attribute alpha of Elu is 0.000");
    one(
        "HardSigmoid x -> y",
        &[float("beta", 0.0)],
        "attribute beta of HardSigmoid is 0, expected a number not zero",
    );
    one(
        "Gelu x -> y",
        &[text("approximate", "erf")],
        "attribute approximate of Gelu is erf, expected none or tanh",
    );
    one("Swish x -> y", &[float("alpha", 2.0)], "attribute alpha of Swish is 2, expected 1");
    one("Clip x lo hi -> y", &[], "operator Clip is not supported: it clips to 1 to -1");
    one("Clip x nan -> y", &[], "operator Clip is not supported: it clips to NaN to inf");
    one("Clip x l -> y", &[], "tensor l: it holds 2 entries, expected one");
    one("Clip x x -> y", &[], "operand 1 of Clip is x, which depends on the input");
    one("Clip x -> y", &[float("min", 0.0)], "attribute min of Clip is set, expected no such attribute");
    one("Cast x -> y", &[int("to", 7)], "attribute to of Cast is INT64, expected FLOAT");
    one("Dropout x lo lo -> y", &[], "tensor lo: element type a float is not supported");
}

#[test]
fn movements_are_checked() {
    let one = |text: &str, attributes: &[AttributeProto], constants: &[TensorProto], expected: &str| {
        refused_over(&[2, 4], text, attributes, constants, expected);
    };
    let list = |name: &str, values: &[i64]| integers(name, values);
    one(
        "Transpose x -> y",
        &[ints("perm", &[0, 0])],
        &[],
        "attribute perm of Transpose is [0, 0], expected a permutation of the 2 axes",
    );
    one(
        "Slice x s e -> y",
        &[],
        &[list("s", &[1]), list("e", &[1])],
        "shape [0, 4] does not fit, expected 1 to",
    );
    let lists = [list("s", &[1]), list("e", &[2, 2])];
    one("Slice x s e -> y", &[], &lists, "its starts, ends, axes and steps are not lists of one length");
    let lists = [list("s", &[0]), list("e", &[2]), list("a", &[0]), list("t", &[0])];
    one("Slice x s e a t -> y", &[], &lists, "attribute steps of Slice is 0, expected a number not zero");
    let lists = [list("s", &[0]), list("e", &[2]), list("a", &[2])];
    one(
        "Slice x s e a -> y",
        &[],
        &lists,
        "attribute axes of Slice is [2], expected different axes from -2 to 1",
    );
    one(
        "Pad x p -> y",
        &[text("mode", "reflect")],
        &[list("p", &[0; 4])],
        "attribute mode of Pad is reflect, expected constant",
    );
    one("Pad x p -> y", &[], &[list("p", &[0; 3])], "its pads are not 4 numbers, two for each axis");
    one("Pad x p -> y", &[], &[list("p", &[-2, 0, 0, 0])], "shape [0, 4] does not fit");
    one("Pad x p -> y", &[], &[list("p", &[-2, 0, -1, 0])], "attribute pads of Pad is [-2, 0, -1, 0]");
    one(
        "Pad x p -> y",
        &[],
        &[list("p", &[i64::MAX, 0, i64::MIN, 0])],
        "attribute pads of Pad is [9223372036854775807",
    );
    one("Pad x p x -> y", &[], &[list("p", &[0; 4])], "operand 2 of Pad is x, which depends on the input");
    one("Concat x x -> y", &[], &[], "attribute axis of Concat is missing");
    one(
        "Concat x c -> y",
        &[int("axis", 0)],
        &[random("c", &[1, 4])],
        "operand 1 of Concat is the constant c, expected a value, or one number",
    );
    one(
        "Concat x c -> y",
        &[int("axis", 0)],
        &[floats("c", &[1, 3], &[0.0; 3])],
        "shape [1, 3] does not fit, expected [2, 4] but for axis 0",
    );
    one(
        "Split x s -> y z",
        &[int("axis", 1)],
        &[list("s", &[1, 2])],
        "attribute split of Split is [1, 2], expected 2 lengths with sum 4",
    );
    one("Split x -> y z a", &[int("axis", 1)], &[], "expected axis 1 in 3 equal parts");
    one(
        "Gather x i -> y",
        &[],
        &[list("i", &[2])],
        "operand 1 of Gather is i, of which an index is outside axis 0, expected indices from -2 to 1",
    );
    one("Gather x i -> y", &[], &[list("i", &[])], "shape [0, 4] does not fit");
    one("Gather x x -> y", &[], &[], "operand 1 of Gather is x, which depends on the input");
    one("Expand x s -> y", &[], &[list("s", &[3, 4])], "expected a shape that expands to [3, 4]");
    one("Expand x s -> y", &[], &[list("s", &[1 << 40, 1, 1])], "does not fit, expected 1 to");
    one("Tile x s -> y", &[], &[list("s", &[2])], "its repeats are [2], expected 2 numbers from 1 on");
    one("Tile x s -> y", &[], &[list("s", &[i64::MAX, 1])], "does not fit, expected at most");
    one("Tile x s -> y", &[], &[list("s", &[65, 1])], "it repeats an axis 65 times, at most 64 are read");
    one("DepthToSpace x -> y", &[int("blocksize", 2)], &[], "expected a batch, channels, rows and columns");
    refused_over(
        &[1, 6, 2, 2],
        "DepthToSpace x -> y",
        &[int("blocksize", 2)],
        &[],
        "attribute blocksize of DepthToSpace is 2",
    );
    refused_over(
        &[1, 6, 2, 3],
        "SpaceToDepth x -> y",
        &[int("blocksize", 2)],
        &[],
        "attribute blocksize of SpaceToDepth is 2",
    );
    one(
        "Squeeze x a -> y",
        &[],
        &[list("a", &[0])],
        "shape [2, 4] does not fit, expected length 1 along axis 0",
    );
    one("Unsqueeze x a -> y", &[], &[list("a", &[0, 0])], "attribute axes of Unsqueeze is [0, 0]");
    one(
        "Unsqueeze x a -> y",
        &[],
        &[list("a", &[0, 1, 2, 3, 4, 5, 6])],
        "expected 1 to 134217728 entries in at most 8 axes",
    );
    one("Flatten x -> y", &[int("axis", 3)], &[], "attribute axis of Flatten is 3, expected -2 to 2");
    one(
        "Reshape x s -> y",
        &[],
        &[random("s", &[2])],
        "tensor s: element type a float is not supported, expected INT64",
    );
    one("Reshape x x -> y", &[], &[], "operand 1 of Reshape is x, which depends on the input");
}

#[test]
fn upsampling_is_checked() {
    let input = [1, 1, 4, 4];
    let scales = |scale: f32| [floats("s", &[4], &[1.0, 1.0, scale, 1.0])];
    let one = |attributes: &[AttributeProto], scale: f32, expected: &str| {
        refused_over(&input, "Resize x _ s -> y", attributes, &scales(scale), expected);
    };
    one(&[text("mode", "linear")], 2.0, "attribute mode of Resize is linear, expected nearest");
    one(&[text("nearest_mode", "odd")], 2.0, "attribute nearest_mode of Resize is odd, expected floor");
    one(
        &[text("coordinate_transformation_mode", "tf_crop_and_resize")],
        2.0,
        "attribute coordinate_transformation_mode of Resize is tf_crop_and_resize",
    );
    one(
        &[],
        1.3,
        "attribute coordinate_transformation_mode of Resize is half_pixel, which reads axis 2 at uneven places",
    );
    one(&[], 0.1, "expected lengths from 1 to");
    one(&[], 1e30, "expected lengths from 1 to");
    one(&[], -1.0, "expected lengths from 1 to");
    refused_over(&input, "Resize x -> y", &[], &[], "it needs either scales or sizes");
    refused_over(
        &input,
        "Resize x _ s -> y",
        &[],
        &[floats("s", &[2], &[2.0; 2])],
        "its scales or sizes are not 4 numbers",
    );
    refused_over(
        &input,
        "Resize x _ _ t -> y",
        &[],
        &[integers("t", &[1, 1, 0, 4])],
        "expected lengths from 1 to",
    );
}

#[test]
fn quantization_is_checked() {
    let constants = [
        floats("s", &[], &[0.1]),
        floats("t", &[], &[0.2]),
        floats("ss", &[4], &[0.1; 4]),
        floats("n", &[], &[-0.1]),
        codes("z", DataType::Uint8, &[], &[5]),
        codes("z8", DataType::Int8, &[], &[5]),
        codes("zz", DataType::Uint8, &[4], &[0; 4]),
        random("w", &[4, 3]),
    ];
    let one = |texts: &[&str], expected: &str| {
        let nodes: Vec<NodeProto> = texts.iter().map(|text| node(text, &[])).collect();
        refused(&nodes, &constants, expected);
    };
    let q = "QuantizeLinear x s z -> q";
    one(
        &[q, "DequantizeLinear q t z -> y"],
        "its scale and zero point are not those of the QuantizeLinear before it",
    );
    one(
        &[q, "DequantizeLinear q s z8 -> y"],
        "its scale and zero point are not those of the QuantizeLinear before it",
    );
    one(
        &[q, "Relu q -> y"],
        "operand 0 of Relu is q, which QuantizeLinear gives, expected DequantizeLinear right after it",
    );
    one(
        &[q, "DequantizeLinear q s z -> d", "Add d q -> y"],
        "operand 1 of Add is q, which QuantizeLinear gives",
    );
    one(
        &["QuantizeLinear x s z -> y"],
        "the model ends in QuantizeLinear, expected DequantizeLinear after it",
    );
    one(&["DequantizeLinear x s z -> y"], "operand 0 of DequantizeLinear is x, which depends on the input");
    one(
        &["QuantizeLinear x ss zz -> y"],
        "operand 1 of QuantizeLinear is a list of 4 scales, expected one scale",
    );
    one(&["QuantizeLinear x n z -> y"], "operand 1 of QuantizeLinear is -0.1, expected scales above 0");
    one(
        &["QuantizeLinear x s zz -> y"],
        "operand 2 of QuantizeLinear is a list of 4 zero points, expected 1",
    );
    one(
        &["DequantizeLinear w s -> f", "MatMul x f -> y"],
        "node DequantizeLinear -> f: operand 2 of DequantizeLinear is FLOAT, expected an integer type",
    );
    one(&["QuantizeLinear w ss zz -> f", "MatMul x f -> y"], "expected 3 scales, as axis 1 has");
}

#[test]
fn arithmetic_of_constants_is_checked() {
    let constants = [
        integers("big", &[i64::MAX]),
        integers("one", &[1]),
        integers("zero", &[0]),
        integers("huge", &[1 << 40]),
        floats("f", &[1], &[1.0]),
        integers("three", &[1, 2, 3]),
        integers("two", &[1, 2]),
        integers("large", &[1 << 21]),
    ];
    let one = |text: &str, attributes: &[AttributeProto], expected: &str| {
        let nodes = [node(text, attributes), node("Reshape x c -> y", &[])];
        refused(&nodes, &constants, expected);
    };
    one(
        "Add big one -> c",
        &[],
        "operator Add is not supported: its integers are not in the range of their type",
    );
    one("Div one zero -> c", &[], "operator Div is not supported: its integers are not in the range");
    one("Mod one zero -> c", &[], "operator Mod is not supported");
    one("Add one f -> c", &[], "operand 1 of Add is f of type FLOAT, expected a type that the operator has");
    one("Add two three -> c", &[], "shape [3] does not fit, expected a shape that broadcasts with [2]");
    one("Sqrt one -> c", &[], "operand 0 of Sqrt is one of type INT64");
    one("ConstantOfShape huge -> c", &[], "shape [1099511627776] does not fit");
    one("Expand one huge -> c", &[], "shape [1099511627776] does not fit");
    one("Range zero huge one -> c", &[], "its range has 1099511627776 numbers");
    one("Range zero one zero -> c", &[], "its range has inf numbers");
    one("Cast huge -> c", &[int("to", 6)], "tensor huge: its entry 1099511627776 is no INT32");
    one("Cast one -> c", &[int("to", 8)], "tensor one: element type STRING is not supported");
    one("Constant -> c", &[], "attribute value of Constant is missing, expected one value");
    one("Constant -> c", &[text("value_string", "a")], "attribute value_string of Constant is set");
    one("Where one one one -> c", &[], "operand 0 of Where is one of type INT64");
    one("Not one -> c", &[], "operand 0 of Not is one of type INT64");
    one("Gather three three -> c", &[], "of which an index is outside axis 0");
}

#[test]
fn shapes_are_checked() {
    refused(
        &[node("MatMul x w -> y", &[])],
        &[random("w", &[3, 5])],
        "expected a last axis of 3, as in weights w",
    );
    for shape in [&[3, 3][..], &[-1, -1], &[-2, 4], &[0, 0, 0], &[-1, 3], &[i64::MAX, 4], &[0, 3]] {
        let message = refusal(&model(&[2, 4], &[node("Reshape x s -> y", &[])], &[integers("s", shape)]));
        assert!(message.starts_with("node Reshape -> y: shape"), "{message}");
        assert!(message.ends_with("expected 8 entries, as in [2, 4]"), "{message}");
    }
    let gemm = [node("Gemm x w -> y", &[])];
    let message = refusal(&model(&[2, 3, 4], &gemm, &[random("w", &[4, 5])]));
    assert!(message.contains("expected a left operand with two axes"), "{message}");
    let message = refusal(&model(&[1, 0], &gemm, &[random("w", &[4, 5])]));
    assert!(message.starts_with("input x: axis 1 has no fixed length (batch)"), "{message}");
    let message = refusal(&model(&[1 << 40, 4], &gemm, &[random("w", &[4, 5])]));
    assert!(message.starts_with("input x: shape [1099511627776, 4] does not fit"), "{message}");
}

#[test]
fn tensors_are_checked() {
    let gemm = || vec![node("MatMul x w -> y", &[])];
    let mut bad = random("w", &[4, 5]);
    bad.raw_data[17 * 4..18 * 4].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&gemm(), &[bad], "tensor w: entry 17 is NaN, every weight must be finite");
    let short = TensorProto { dims: vec![4, 6], ..random("w", &[4, 5]) };
    refused(&gemm(), &[short], "tensor w: it holds 20 entries, its shape [4, 6] asks for 24");
    let negative = TensorProto { dims: vec![-4, 5], ..random("w", &[4, 5]) };
    refused(&gemm(), &[negative], "negative axis");
    let huge = TensorProto { dims: vec![1 << 40, 1 << 40], ..random("w", &[4, 5]) };
    refused(&gemm(), &[huge], "more than");
    let half = TensorProto { data_type: DataType::Float16 as i32, ..random("w", &[4, 5]) };
    refused(&gemm(), &[half], "tensor w: element type FLOAT16 is not supported");
    let unknown = TensorProto { data_type: 99, ..random("w", &[4, 5]) };
    refused(&gemm(), &[unknown], "tensor w: element type 99 is not supported");
    let external = TensorProto { data_location: Some(DataLocation::External as i32), ..random("w", &[4, 5]) };
    refused(&gemm(), &[external], "its data is in another file");
}

#[test]
fn the_interface_is_one_input_and_one_output() {
    let good = model(&[1, 4], &[node("MatMul x w -> y", &[])], &[random("w", &[4, 5])]);
    let change = |edit: fn(&mut tract_onnx::pb::GraphProto)| {
        let mut model = good.clone();
        edit(model.graph.as_mut().unwrap());
        refusal(&model)
    };
    assert_eq!(
        change(|graph| {
            let mut second = graph.input[0].clone();
            second.name = "x2".into();
            graph.input.push(second);
        }),
        "the model has 2 inputs (x, x2), expected exactly 1"
    );
    assert_eq!(change(|graph| graph.output.clear()), "the model has 0 outputs (), expected exactly 1");
    assert_eq!(change(|graph| graph.input.clear()), "the model has 0 inputs (), expected exactly 1");
    assert_eq!(change(|graph| graph.input[0].r#type = None), "not an ONNX model: input x has no tensor type");
    assert_eq!(refusal(&ModelProto { graph: None, ..good.clone() }), "not an ONNX model: it has no graph");
    let message = refusal(&with_opset(good, 8));
    assert_eq!(message, "operator set 8 is not supported, supported are 9 to 24: export the model again");
    assert_eq!(import(b"").unwrap_err().to_string(), "not an ONNX model: the file is empty");
    assert!(import(b"{\"input\": 1}").unwrap_err().to_string().starts_with("not an ONNX model"));
}

#[test]
fn damaged_files_never_panic() {
    let whole = zoo::digits_mlp().onnx;
    for len in (0..whole.len()).step_by(97).chain(whole.len() - 60..whole.len()) {
        let _ = import(&whole[..len]);
    }
    let nodes = [
        node("Shape x -> s", &[]),
        node("Conv x k -> c", &[ints("pads", &[1, 0, 1, 0]), ints("strides", &[2, 1])]),
        node("Clip c lo hi -> d", &[]),
        node("MaxPool d -> m", &[ints("kernel_shape", &[2, 1]), int("ceil_mode", 1)]),
        node("ConvTranspose m t -> u", &[ints("strides", &[2, 2])]),
        node("Pad u p lo -> q", &[]),
        node("Slice q a e ax st -> v", &[]),
        node(
            "Resize v _ sc -> z",
            &[text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")],
        ),
        node("QuantizeLinear z lo2 zp -> qq", &[]),
        node("DequantizeLinear qq lo2 zp -> dq", &[]),
        node("ReduceMean dq -> g", &[ints("axes", &[2]), int("keepdims", 0)]),
        node("Split g -> g0 g1", &[int("axis", 2)]),
        node("Concat g1 g0 -> gg", &[int("axis", -1)]),
        node("Gather gg i -> h", &[int("axis", 1)]),
        node("Flatten h -> f", &[int("axis", 1)]),
        node("Gemm f w b -> l", &[int("transB", 1), float("alpha", 1.0)]),
        node("Softmax l -> y", &[int("axis", -1)]),
    ];
    let initializers = [
        random("k", &[2, 1, 2, 1]),
        floats("lo", &[], &[-0.5]),
        floats("hi", &[], &[0.5]),
        random("t", &[2, 2, 1, 2]),
        integers("p", &[0, 0, 1, 0, 0, 0, 0, -1]),
        integers("a", &[-1]),
        integers("e", &[-100]),
        integers("ax", &[2]),
        integers("st", &[-1]),
        floats("sc", &[4], &[1.0, 1.0, 2.0, 2.0]),
        floats("lo2", &[], &[0.25]),
        codes("zp", DataType::Uint8, &[], &[3]),
        integer("i", 1),
        random("w", &[3, 6]),
        random("b", &[3]),
    ];
    let small = bytes(&model(&[1, 1, 2, 2], &nodes, &initializers));
    if let Err(error) = import(&small) {
        panic!("{error}");
    }
    for position in 0..small.len() {
        for flip in [0x01, 0x04, 0x10, 0x80, 0xff] {
            let mut damaged = small.clone();
            damaged[position] ^= flip;
            let _ = import(&damaged);
        }
    }
}

#[test]
fn every_node_is_reported() {
    let nodes = [
        node("Conv x k -> c", &[]),
        node("Sin c -> s", &[]),
        node("Relu s -> r", &[]),
        node("Relu x -> unused", &[]),
        node("LSTM r -> l", &[]),
        node("Softmax x -> p", &[int("axis", 0)]),
        node("Add l p -> y", &[]),
    ];
    let model = model(&[1, 3, 4, 4], &nodes, &[random("k", &[2, 3, 1, 1])]);
    let report = support(&bytes(&model)).unwrap();
    let words: Vec<String> = report
        .iter()
        .map(|node| match &node.support {
            Support::Supported => format!("{} supported", node.operator),
            Support::Unused => format!("{} unused", node.operator),
            Support::Unreached => format!("{} unreached", node.operator),
            Support::Refused(error) => format!("{} {}", node.operator, &error.to_string()[..30]),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        words,
        [
            "Conv supported",
            "Sin node Sin -> s: operator Sin is",
            "Relu unreached",
            "Relu unused",
            "LSTM node LSTM -> l: operator LSTM ",
            "Softmax node Softmax -> p: attribute a",
            "Add unreached"
        ]
    );
    assert!(support(b"").is_err());
    let digits = support(zoo::digits_mlp().onnx).unwrap();
    assert!(digits.iter().all(|node| matches!(node.support, Support::Supported)));
}

#[test]
fn the_table_of_operators_is_in_order() {
    assert!(OPERATORS.is_sorted_by_key(|operator| operator.name));
    assert!(OPERATORS.iter().all(|operator| !operator.limits.is_empty()));
}
