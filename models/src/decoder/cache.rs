//! Keys and values of the tokens read so far, of one layer.

use candle_core::{DType, Device, Result, Tensor};

/// Room for keys and values grows by this many tokens at least.
const STEP_TOKENS: usize = 256;

/// `[heads, capacity, width]` for keys and for values; the first `len` rows of
/// each head are in use.
pub(super) struct KeyValueCache {
    heads: usize,
    width: usize,
    len: usize,
    capacity: usize,
    store: Option<(Tensor, Tensor)>,
}

impl KeyValueCache {
    pub(super) fn new(heads: usize, width: usize) -> Self {
        Self {
            heads,
            width,
            len: 0,
            capacity: 0,
            store: None,
        }
    }

    /// Tokens inside.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets every token after the first `tokens`.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.len = self.len.min(tokens);
    }

    /// Appends `[heads, tokens, width]` keys and values; returns all of them,
    /// `[heads, len, width]`, as views.
    pub(super) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let end = self.len + keys.dim(1)?;
        let (all_keys, all_values) = match self.store.take() {
            Some(store) if end <= self.capacity => store,
            old => self.grow(old, end)?,
        };
        all_keys.slice_set(keys, 1, self.len)?;
        all_values.slice_set(values, 1, self.len)?;
        self.len = end;
        let views = (all_keys.narrow(1, 0, end)?, all_values.narrow(1, 0, end)?);
        self.store = Some((all_keys, all_values));
        Ok(views)
    }

    fn grow(&mut self, old: Option<(Tensor, Tensor)>, tokens: usize) -> Result<(Tensor, Tensor)> {
        // Doubling keeps the copying linear in the length of the conversation.
        self.capacity = tokens.max(2 * self.len).next_multiple_of(STEP_TOKENS);
        let shape = (self.heads, self.capacity, self.width);
        let keys = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        let values = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        if let Some((old_keys, old_values)) = old
            && self.len > 0
        {
            keys.slice_set(&old_keys.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
            values.slice_set(&old_values.narrow(1, 0, self.len)?.contiguous()?, 1, 0)?;
        }
        Ok((keys, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_appended_through_growth_and_truncation() {
        let mut cache = KeyValueCache::new(2, 4);
        let mut expected: Vec<Tensor> = Vec::new();
        for step in 0..5 {
            let block = Tensor::full(step as f32, (2, 100, 4), &Device::Cpu).unwrap();
            let (keys, values) = cache.append(&block, &block).unwrap();
            expected.push(block);
            let all = Tensor::cat(&expected, 1).unwrap();
            for got in [keys, values] {
                let difference = (got - &all).unwrap().abs().unwrap().sum_all().unwrap();
                assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0);
            }
        }
        cache.truncate(150);
        let block = Tensor::full(9f32, (2, 1, 4), &Device::Cpu).unwrap();
        let (keys, _) = cache.append(&block, &block).unwrap();
        assert_eq!(keys.dims(), [2, 151, 4]);
        let row = keys.narrow(1, 149, 2).unwrap().contiguous().unwrap();
        assert_eq!(row.to_vec3::<f32>().unwrap()[1], [[1.0; 4], [9.0; 4]]);
    }
}
