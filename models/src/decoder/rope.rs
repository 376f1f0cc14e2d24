//! The angles of rotary positions (Su et al., 2021).

/// How fast each pair of features turns.
pub(super) struct Rope {
    frequencies: Vec<f32>,
    /// Llama's GGUF files pair neighbouring features, Qwen2's pair the halves.
    pub(super) interleaved: bool,
}

impl Rope {
    /// For heads that are `width` wide. `slower` divides the frequencies, one
    /// for each pair, where the model has such factors.
    pub(super) fn new(width: usize, base: f32, interleaved: bool, slower: Option<&[f32]>) -> Self {
        let frequency = |pair: usize| {
            let frequency = base.powf(-((2 * pair) as f32) / width as f32);
            frequency / slower.map_or(1.0, |factors| factors[pair])
        };
        Self {
            frequencies: (0..width / 2).map(frequency).collect(),
            interleaved,
        }
    }

    /// Pairs of features.
    pub(super) fn pairs(&self) -> usize {
        self.frequencies.len()
    }

    /// Sine and cosine of a pair's angle at a position.
    fn angle(&self, pair: usize, position: usize) -> (f32, f32) {
        (position as f32 * self.frequencies[pair]).sin_cos()
    }

    /// Tables `[pairs, lanes]` for the positions `first..first + lanes`.
    pub(super) fn fill(&self, first: usize, lanes: usize, cos: &mut [f32], sin: &mut [f32]) {
        let rows = cos.chunks_exact_mut(lanes).zip(sin.chunks_exact_mut(lanes));
        for (pair, (cos, sin)) in rows.enumerate() {
            for (lane, (cos, sin)) in cos.iter_mut().zip(sin).enumerate() {
                (*sin, *cos) = self.angle(pair, first + lane);
            }
        }
    }

    /// Turns one head of the token at `position`, and multiplies it by `factor`.
    pub(super) fn turn(&self, head: &mut [f32], position: usize, factor: f32) {
        for pair in 0..self.pairs() {
            let (sin, cos) = self.angle(pair, position);
            let (first, second) = match self.interleaved {
                true => (2 * pair, 2 * pair + 1),
                false => (pair, pair + self.pairs()),
            };
            let (a, b) = (head[first] * factor, head[second] * factor);
            head[first] = a * cos - b * sin;
            head[second] = a * sin + b * cos;
        }
    }
}
