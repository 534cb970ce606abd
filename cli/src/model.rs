//! Models: from an ONNX file and a few samples to a key.

use crate::error::Error;
use crate::key::{Notes, ProvingKey};
use provenn_models::fidelity::measure;
use provenn_models::{
    Dataset, Fidelity, FloatModel, QuantizeOptions, QuantizedModel, Stage, import, quantize_observed,
};
use provenn_prover::Phase;

/// A quantized model, ready to be committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    quantized: QuantizedModel,
    fidelity: Fidelity,
    source: Option<String>,
}

impl Model {
    /// Imports the bytes of an ONNX file and quantizes the model for the calibration samples.
    ///
    /// # Errors
    /// [`Error::Model`] naming the node, tensor or sample that does not fit.
    pub fn from_onnx(bytes: &[u8], calibration: &Dataset, options: &QuantizeOptions) -> Result<Model, Error> {
        Self::quantize(&import(bytes)?, calibration, options)
    }

    /// Quantizes an imported model, and measures on the same samples what that costs.
    ///
    /// # Errors
    /// [`Error::Model`] naming the sample or option that does not fit, or a model outside the
    /// limits of the proof system.
    pub fn quantize(
        float: &FloatModel,
        calibration: &Dataset,
        options: &QuantizeOptions,
    ) -> Result<Model, Error> {
        Self::quantize_observed(float, calibration, options, &mut |_| {})
    }

    /// [`Model::quantize`], telling `observe` what it is doing.
    ///
    /// # Errors
    /// As [`Model::quantize`].
    pub fn quantize_observed(
        float: &FloatModel,
        calibration: &Dataset,
        options: &QuantizeOptions,
        observe: &mut dyn FnMut(Stage),
    ) -> Result<Model, Error> {
        let quantized = quantize_observed(float, &calibration.samples, options, observe)?;
        observe(Stage::Fidelity);
        let fidelity = measure(float, &quantized, calibration)?;
        Ok(Model { quantized, fidelity, source: None })
    }

    /// Names the file that the model comes from, for the notes in the proving key.
    pub fn with_source(mut self, name: impl Into<String>) -> Model {
        self.source = Some(name.into());
        self
    }

    /// The integer model.
    pub fn quantized(&self) -> &QuantizedModel {
        &self.quantized
    }

    /// How close the integer model is to the float model on the calibration samples.
    pub fn fidelity(&self) -> &Fidelity {
        &self.fidelity
    }

    /// Commits to the weights. Each call gives a fresh key with another model ID.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn commit(&self) -> Result<ProvingKey, Error> {
        self.commit_observed(&mut |_| {})
    }

    /// [`Model::commit`], telling `observe` what the prover is doing.
    ///
    /// # Errors
    /// As [`Model::commit`].
    pub fn commit_observed(&self, observe: &mut dyn FnMut(Phase)) -> Result<ProvingKey, Error> {
        let QuantizedModel { layers, parameters, .. } = &self.quantized;
        ProvingKey::commit(layers.clone(), parameters.clone(), &self.notes(), observe)
    }

    /// What a key of this model records for its owner.
    pub fn notes(&self) -> Notes {
        Notes {
            source: self.source.clone(),
            layer_names: self.quantized.layer_names.clone(),
            fidelity: serde_json::to_value(&self.fidelity).ok(),
        }
    }
}
