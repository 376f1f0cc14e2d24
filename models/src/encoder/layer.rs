//! The weights of one block of BERT, packed for our products.

use super::{Config, Precision, Tensors};
use crate::Result;
use crate::kernels::parallel::Matrix;
use crate::kernels::rows::Norm;
use crate::kernels::simd::Level;

/// A linear layer.
pub(crate) struct Linear {
    pub(crate) weights: Matrix,
    /// One float for each column.
    pub(crate) bias: Vec<f32>,
}

/// One block of the encoder.
pub(crate) struct Layer {
    pub(crate) queries_keys_values: Linear,
    pub(crate) mix: Linear,
    pub(crate) mix_norm: Norm,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) down_norm: Norm,
}

impl Layer {
    pub(crate) fn open(
        weights: &dyn Tensors,
        config: &Config,
        level: Level,
        precision: Precision,
        name: &str,
    ) -> Result<Self> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let linear = |part: &str, depth, columns| {
            Linear::open(
                weights,
                (level, precision),
                &[(&format!("{name}.{part}.dense"), 1.0)],
                depth,
                columns,
            )
        };
        // Softmax takes powers of two of scores that are divided by √size.
        let head_size = (hidden / config.num_attention_heads) as f64;
        let scale = (std::f64::consts::LOG2_E / head_size.sqrt()) as f32;
        let [query, key, value] =
            ["query", "key", "value"].map(|part| format!("{name}.attention.self.{part}"));
        let projections = [(query.as_str(), scale), (&key, 1.0), (&value, 1.0)];
        // Softmax magnifies what rounding does to scores: in bytes, this product alone
        // costs a text as much cosine as the three others.
        let attentive = match precision {
            Precision::Int8 => Precision::Auto,
            other => other,
        };
        Ok(Self {
            queries_keys_values: Linear::open(
                weights,
                (level, attentive),
                &projections,
                hidden,
                hidden,
            )?,
            mix: linear("attention.output", hidden, hidden)?,
            mix_norm: Norm::open(weights, config, &format!("{name}.attention.output"))?,
            up: linear("intermediate", hidden, intermediate)?,
            down: linear("output", intermediate, hidden)?,
            down_norm: Norm::open(weights, config, &format!("{name}.output"))?,
        })
    }
}

impl Linear {
    /// The layers `parts` side by side, each from `depth` to `columns` floats
    /// and times its factor.
    pub(crate) fn open(
        weights: &dyn Tensors,
        (level, precision): (Level, Precision),
        parts: &[(&str, f32)],
        depth: usize,
        columns: usize,
    ) -> Result<Self> {
        let mut matrices = Vec::new();
        let mut bias = Vec::new();
        for &(name, factor) in parts {
            matrices.push((
                weights.get(&format!("{name}.weight"), &[columns, depth])?,
                factor,
            ));
            let part = weights.get(&format!("{name}.bias"), &[columns])?;
            bias.extend(part.iter().map(|x| x * factor));
        }
        // Stored as [columns, depth].
        let entry = |k: usize, column: usize| {
            let (matrix, factor) = &matrices[column / columns];
            matrix[column % columns * depth + k] * factor
        };
        let columns = columns * parts.len();
        let weights = Matrix::pack(level, precision, depth, columns, entry);
        Ok(Self { weights, bias })
    }
}

impl Norm {
    /// Reads the normalisation under `name`.
    pub(crate) fn open(weights: &dyn Tensors, config: &Config, name: &str) -> Result<Self> {
        let part =
            |part: &str| weights.get(&format!("{name}.LayerNorm.{part}"), &[config.hidden_size]);
        Ok(Self {
            gain: part("weight")?.into_owned(),
            shift: part("bias")?.into_owned(),
            epsilon: config.layer_norm_eps as f32,
        })
    }
}
