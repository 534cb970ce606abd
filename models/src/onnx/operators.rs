//! The operators that are read: the only list of them.

use super::constant::Constant;
use super::folding::Fold;
use super::importer::Importer;
use super::node::Node;
use super::{
    activation, convolution, elementwise, folding, head, linear, movement, pooling, quantized, resize, shape,
};
use crate::error::ModelError;

/// Makes constants of constants.
pub(super) type Folding = fn(&Fold) -> Result<Vec<Constant>, ModelError>;
/// Makes layers of a node that reads a value.
pub(super) type Layering = fn(&mut Importer, Node) -> Result<(), ModelError>;

/// An operator that the importer reads.
#[derive(Debug, Clone, Copy)]
pub struct Operator {
    /// Its type in a file, with the domain unless that is ONNX's own.
    pub name: &'static str,
    /// The limits within which it is read.
    pub limits: &'static str,
    pub(super) fold: Option<Folding>,
    pub(super) layers: Option<Layering>,
    /// Whether outputs other than the first one may be read.
    pub(super) many: bool,
    /// Whether it may follow the proved part.
    pub(super) may_end: bool,
}

impl Operator {
    /// One that reads values alone.
    const fn values(name: &'static str, limits: &'static str, layers: Layering) -> Self {
        Operator { name, limits, fold: None, layers: Some(layers), many: false, may_end: false }
    }

    /// One that reads constants alone.
    const fn constants(name: &'static str, limits: &'static str, fold: Folding) -> Self {
        Operator { name, limits, fold: Some(fold), layers: None, many: false, may_end: false }
    }

    /// One that reads both.
    const fn both(name: &'static str, limits: &'static str, fold: Folding, layers: Layering) -> Self {
        Operator { name, limits, fold: Some(fold), layers: Some(layers), many: false, may_end: false }
    }

    const fn with_many_outputs(self) -> Self {
        Operator { many: true, ..self }
    }

    const fn that_may_end(self) -> Self {
        Operator { may_end: true, ..self }
    }
}

/// Every operator that the importer reads, with its limits, in alphabetical order.
pub static OPERATORS: &[Operator] = &[
    Operator::both("Abs", "anywhere", folding::abs, activation::abs),
    Operator::both(
        "Add",
        "of values, and of a value and a constant; broadcasting",
        folding::add,
        elementwise::add,
    ),
    Operator::values("ArgMax", "last operator, over the last axis; not proved", head::arg_max).that_may_end(),
    Operator::values("AveragePool", "1 to 3 spatial axes", pooling::average_pool),
    Operator::values("BatchNormalization", "not in training mode", elementwise::batch_normalization),
    Operator::both("Cast", "of a constant; of a value to FLOAT", activation::fold_cast, activation::cast)
        .that_may_end(),
    Operator::constants("Ceil", "of a constant", folding::ceil),
    Operator::values("Clip", "constant ends", activation::clip),
    Operator::both(
        "Concat",
        "of values; a constant among them must be one number throughout",
        movement::fold_concat,
        movement::concat,
    ),
    Operator::constants(
        "Constant",
        "numbers of type FLOAT, DOUBLE, BOOL, INT8 to INT64 or UINT8 to UINT32",
        folding::constant,
    ),
    Operator::constants("ConstantOfShape", "constant shape", folding::constant_of_shape),
    Operator::values("Conv", "1 to 3 spatial axes, constant weights and bias", convolution::conv),
    Operator::values(
        "ConvTranspose",
        "1 to 3 spatial axes, constant weights and bias",
        convolution::conv_transpose,
    ),
    Operator::values("DepthToSpace", "anywhere", movement::depth_to_space),
    Operator::both(
        "DequantizeLinear",
        "of a constant, or right after QuantizeLinear with the same scale and zero point",
        quantized::fold_dequantize,
        quantized::dequantize,
    )
    .that_may_end(),
    Operator::both("Div", "by a constant", folding::div, elementwise::div),
    Operator::both("Dropout", "not in training mode", activation::fold_dropout, activation::dropout),
    Operator::values("Elu", "anywhere", activation::elu),
    Operator::constants("Equal", "of constants", folding::equal),
    Operator::values("Erf", "anywhere", activation::erf),
    Operator::both("Exp", "anywhere", folding::exp, activation::exp),
    Operator::both("Expand", "constant shape", movement::fold_expand, movement::expand),
    Operator::both("Flatten", "anywhere", shape::fold_flatten, shape::flatten),
    Operator::constants("Floor", "of a constant", folding::floor),
    Operator::both("Gather", "constant indices", movement::fold_gather, movement::gather),
    Operator::values("Gelu", "anywhere", activation::gelu),
    Operator::values(
        "Gemm",
        "transA = 0, constant weights, constant bias, the same for all rows",
        linear::gemm,
    ),
    Operator::values("GlobalAveragePool", "anywhere", pooling::global_average_pool),
    Operator::values("GlobalMaxPool", "anywhere", pooling::global_max_pool),
    Operator::constants("Greater", "of constants", folding::greater),
    Operator::values("HardSigmoid", "alpha and beta not 0", activation::hard_sigmoid),
    Operator::values("HardSwish", "anywhere", activation::hard_swish),
    Operator::both("Identity", "anywhere", activation::fold_identity, activation::identity).that_may_end(),
    Operator::values("LeakyRelu", "anywhere", activation::leaky_relu),
    Operator::constants("Less", "of constants", folding::less),
    Operator::constants("Log", "of a constant", folding::log),
    Operator::values("LogSoftmax", "last operator, over the last axis; not proved", head::log_softmax),
    Operator::values("MatMul", "one constant operand with two axes", linear::mat_mul),
    Operator::both("Max", "of constants, or of a value and one number", folding::max, activation::max),
    Operator::values("MaxPool", "1 to 3 spatial axes, without indices", pooling::max_pool),
    Operator::values("Mean", "of values; broadcasting", elementwise::mean),
    Operator::both("Min", "of constants, or of a value and one number", folding::min, activation::min),
    Operator::constants("Mod", "of integer constants", folding::modulo),
    Operator::both(
        "Mul",
        "of values, and of a value and a constant; broadcasting",
        folding::mul,
        elementwise::mul,
    ),
    Operator::both("Neg", "anywhere", folding::neg, elementwise::neg),
    Operator::constants("Not", "of a constant", folding::not),
    Operator::values("PRelu", "constant slope", elementwise::prelu),
    Operator::both("Pad", "mode = constant, constant pads", movement::fold_pad, movement::pad),
    Operator::both("Pow", "of constants, or the exponent 1, 2 or 3", folding::pow, elementwise::pow),
    Operator::both(
        "QuantizeLinear",
        "of a constant, or of a value with one scale and DequantizeLinear right after it",
        quantized::fold_quantize,
        quantized::quantize,
    )
    .that_may_end(),
    Operator::constants("Range", "of constants", folding::range),
    Operator::constants("Reciprocal", "of a constant", folding::reciprocal),
    Operator::values("ReduceMax", "constant axes", pooling::reduce_max),
    Operator::values("ReduceMean", "constant axes", pooling::reduce_mean),
    Operator::constants("ReduceProd", "of a list of constant integers", folding::reduce_prod),
    Operator::values("ReduceSum", "constant axes", pooling::reduce_sum),
    Operator::values("Relu", "anywhere", activation::relu),
    Operator::both("Reshape", "constant shape", shape::fold_reshape, shape::reshape),
    Operator::values("Resize", "mode = nearest, by whole factors up or down", resize::resize),
    Operator::constants("Round", "of a constant", folding::round),
    Operator::values("Selu", "alpha not 0", activation::selu),
    Operator::both("Shape", "anywhere", shape::fold_shape, shape::shape),
    Operator::values("Sigmoid", "anywhere", activation::sigmoid),
    Operator::both("Size", "anywhere", shape::fold_size, shape::size),
    Operator::both("Slice", "constant starts, ends, axes and steps", movement::fold_slice, movement::slice),
    Operator::values("Softmax", "last operator, over the last axis; not proved", head::softmax),
    Operator::values("Softplus", "anywhere", activation::softplus),
    Operator::values("SpaceToDepth", "anywhere", movement::space_to_depth),
    Operator::both("Split", "constant lengths", movement::fold_split, movement::split).with_many_outputs(),
    Operator::both("Sqrt", "anywhere", folding::sqrt, activation::sqrt),
    Operator::both("Squeeze", "constant axes", shape::fold_squeeze, shape::squeeze),
    Operator::both(
        "Sub",
        "of values, and of a value and a constant; broadcasting",
        folding::sub,
        elementwise::sub,
    ),
    Operator::values("Sum", "of values; broadcasting", elementwise::sum),
    Operator::values("Swish", "alpha = 1", activation::swish),
    Operator::values("Tanh", "anywhere", activation::tanh),
    Operator::both("Tile", "constant repeats", movement::fold_tile, movement::tile),
    Operator::both("Transpose", "anywhere", movement::fold_transpose, movement::transpose),
    Operator::both("Unsqueeze", "constant axes", shape::fold_unsqueeze, shape::unsqueeze),
    Operator::values("Upsample", "mode = nearest, by whole factors up or down", resize::upsample),
    Operator::constants("Where", "of constants", folding::choose),
    Operator::values("ai.onnx.ml.Scaler", "anywhere", elementwise::scaler),
];
