//! The weights inside an ONNX file: as much of the format as the built-in model
//! needs, so that its one file serves ONNX Runtime and our own kernels.
//!
//! ONNX is a protocol buffer; the numbers below are its field numbers
//! (<https://onnx.ai/onnx/repo-docs/IR.html>). The model was quantised
//! dynamically: linear layers are signed bytes `[in, out]` with a scale for each
//! output, embeddings are unsigned bytes with one scale and zero.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::encoder::{Table, Tensors};
use crate::{Error, ErrorKind, Result};

/// Tensors by name.
pub(super) struct Graph {
    tensors: HashMap<&'static str, Tensor>,
    /// From the path of a linear layer in the model to the name of its weights.
    linear: HashMap<String, &'static str>,
}

#[derive(Clone, Debug, Default)]
struct Tensor {
    name: &'static str,
    shape: Vec<usize>,
    kind: u64,
    raw: &'static [u8],
    /// Numbers that are not in `raw`.
    floats: Vec<f32>,
    ints: Vec<u64>,
}

/// Values of `TensorProto.DataType`.
const F32: u64 = 1;
const U8: u64 = 2;
const I8: u64 = 3;

/// One field of a message.
enum Field {
    Number(u64),
    Bytes(&'static [u8]),
}

/// The fields of a message, one after the other.
struct Fields(&'static [u8]);

impl Fields {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'static [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Number and value of the next field; `None` if the bytes end or are no
    /// message.
    fn next(&mut self) -> Option<(u64, Field)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let count = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.take(count)?)
            }
            5 => Field::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

fn text(bytes: &'static [u8]) -> &'static str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn float(bytes: &[u8]) -> f32 {
    bytes
        .first_chunk()
        .map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
}

/// Repeated numbers, packed into one field or not.
fn numbers(field: Field, into: &mut Vec<u64>) {
    match field {
        Field::Number(number) => into.push(number),
        Field::Bytes(bytes) => {
            let mut fields = Fields(bytes);
            into.extend(std::iter::from_fn(|| fields.number()));
        }
    }
}

fn tensor(bytes: &'static [u8]) -> Tensor {
    let mut tensor = Tensor::default();
    let mut shape = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next() {
        match (number, field) {
            (1, field) => numbers(field, &mut shape),
            (2, Field::Number(kind)) => tensor.kind = kind,
            (4, Field::Bytes(bytes)) => tensor.floats.extend(bytes.chunks_exact(4).map(float)),
            (5, field) => numbers(field, &mut tensor.ints),
            (8, Field::Bytes(name)) => tensor.name = text(name),
            (9, Field::Bytes(raw)) => tensor.raw = raw,
            _ => {}
        }
    }
    tensor.shape = shape.into_iter().map(|size| size as usize).collect();
    tensor
}

impl Graph {
    /// Reads an ONNX file.
    pub(super) fn read(file: &'static [u8]) -> Self {
        let mut graph = Self {
            tensors: HashMap::new(),
            linear: HashMap::new(),
        };
        let mut model = Fields(file);
        while let Some((number, field)) = model.next() {
            // ModelProto.graph
            if let (7, Field::Bytes(bytes)) = (number, field) {
                graph.read_graph(bytes);
            }
        }
        graph
    }

    fn read_graph(&mut self, bytes: &'static [u8]) {
        let mut fields = Fields(bytes);
        while let Some((number, field)) = fields.next() {
            match (number, field) {
                (1, Field::Bytes(node)) => self.read_node(node),
                (5, Field::Bytes(bytes)) => {
                    let tensor = tensor(bytes);
                    self.tensors.insert(tensor.name, tensor);
                }
                _ => {}
            }
        }
    }

    /// Nodes of quantised products are named by their layer:
    /// `/encoder/layer.0/output/dense/MatMul_quant`.
    fn read_node(&mut self, bytes: &'static [u8]) {
        let (mut inputs, mut name) = (Vec::new(), "");
        let mut fields = Fields(bytes);
        while let Some((number, field)) = fields.next() {
            match (number, field) {
                (1, Field::Bytes(input)) => inputs.push(text(input)),
                (3, Field::Bytes(bytes)) => name = text(bytes),
                _ => {}
            }
        }
        let layer = name.strip_prefix('/');
        if let Some(layer) = layer.and_then(|name| name.strip_suffix("/MatMul_quant"))
            && let Some(weight) = inputs
                .get(1)
                .and_then(|name| name.strip_suffix("_quantized"))
        {
            self.linear.insert(layer.replace('/', "."), weight);
        }
    }

    /// How many layers the encoder has.
    pub(super) fn layers(&self) -> usize {
        let number = |layer: &String| {
            let after = layer.strip_prefix("encoder.layer.")?;
            after.split('.').next()?.parse::<usize>().ok()
        };
        let last = self.linear.keys().filter_map(number).max();
        last.map_or(0, |last| last + 1)
    }

    fn corrupt(&self, name: &str, what: &str) -> Error {
        let message = format!("the built-in model's tensor `{name}` {what}");
        Error::new(ErrorKind::Corrupt, message)
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.corrupt(name, "is missing"))
    }

    fn shaped(&self, name: &str, kind: u64, shape: &[usize]) -> Result<&Tensor> {
        let tensor = self.tensor(name)?;
        let size = if kind == F32 { 4 } else { 1 };
        let whole = tensor.raw.len() == size * shape.iter().product::<usize>();
        if tensor.kind == kind && tensor.shape == shape && whole {
            return Ok(tensor);
        }
        let found = &tensor.shape;
        Err(self.corrupt(name, &format!("is {found:?} and not {shape:?}")))
    }

    /// All floats of a tensor.
    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensor(name)?;
        if tensor.kind != F32 {
            return Err(self.corrupt(name, "is not made of floats"));
        }
        let mut floats = tensor.floats.clone();
        floats.extend(tensor.raw.chunks_exact(4).map(float));
        Ok(floats)
    }

    /// The weights `[rows, columns]` of a linear layer, as `[columns, rows]`.
    fn transposed(&self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let bytes = self.shaped(&format!("{name}_quantized"), I8, &[rows, columns])?;
        let scales = self.floats(&format!("{name}_scale"))?;
        let scale = |column: usize| scales[column.min(scales.len() - 1)];
        if scales.len() != columns && scales.len() != 1 {
            return Err(self.corrupt(name, "has a wrong number of scales"));
        }
        let zeros = self.tensor(&format!("{name}_zero_point"))?;
        if zeros.raw.iter().any(|&zero| zero != 0) || zeros.ints.iter().any(|&zero| zero != 0) {
            return Err(self.corrupt(name, "has zeros that are not 0"));
        }
        let mut floats = vec![0.0; rows * columns];
        for (row, bytes) in bytes.raw.chunks_exact(columns).enumerate() {
            for (column, byte) in bytes.iter().enumerate() {
                floats[column * rows + row] = f32::from(byte.cast_signed()) * scale(column);
            }
        }
        Ok(floats)
    }

    fn embeddings(&self, name: &str, shape: &[usize]) -> Result<Table> {
        let bytes = self.shaped(&format!("{name}_quantized"), U8, shape)?;
        let scale = self.floats(&format!("{name}_scale"))?;
        let zero = self.tensor(&format!("{name}_zero_point"))?;
        let zero = match (zero.raw, &zero.ints[..]) {
            ([zero], []) => *zero,
            ([], [zero]) => u8::try_from(*zero).unwrap_or(u8::MAX),
            _ => return Err(self.corrupt(name, "has no single zero")),
        };
        match scale[..] {
            [scale] => Ok(Table::Bytes {
                bytes: bytes.raw,
                zero,
                scale,
            }),
            _ => Err(self.corrupt(name, "has no single scale")),
        }
    }
}

impl Tensors for Graph {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        let layer = name.strip_suffix(".weight").unwrap_or_default();
        if let (Some(weight), &[columns, rows]) = (self.linear.get(layer), shape) {
            return self.transposed(weight, rows, columns).map(Cow::Owned);
        }
        if let &[rows, width] = shape {
            let table = self.embeddings(name, shape)?;
            let mut floats = vec![0.0; rows * width];
            for (at, row) in floats.chunks_exact_mut(width).enumerate() {
                table.row(at, row);
            }
            return Ok(Cow::Owned(floats));
        }
        self.shaped(name, F32, shape)?;
        self.floats(name).map(Cow::Owned)
    }

    fn table(&self, name: &str, shape: &[usize]) -> Result<Table> {
        self.embeddings(name, shape)
    }
}
