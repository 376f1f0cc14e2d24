//! Drawings in SVG: points with intervals, lines, stacked bars. Colours are
//! those of the page's style, so that one drawing serves light and dark.

use super::html::{escape, number};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// Points beyond which a drawing shows numbers instead of names.
const MOST_NAMES: usize = 6;

/// Colours that the style knows, `--c0` and so on.
const COLOURS: usize = 8;

/// A value with its interval, somewhere along the other axis.
pub(super) struct Point {
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Drawn larger.
    pub(super) chosen: bool,
}

/// Values along an axis, joined.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// One bar of parts.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) parts: Vec<f64>,
}

/// The class of the `at`-th colour.
pub(super) fn colour(at: usize) -> String {
    format!("c{}", at % COLOURS)
}

struct Frame {
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn across(&self, x: f64) -> f64 {
        let (low, high) = (self.x.0.log10(), self.x.1.log10());
        LEFT + (x.max(f64::MIN_POSITIVE).log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let share = (y - self.y.0) / (self.y.1 - self.y.0);
        self.height - BOTTOM - share * (self.height - TOP - BOTTOM)
    }

    /// Axes, with ticks at `xs` and at even steps of y.
    fn axes(&self, xs: &[f64], x_label: &str, y_label: &str) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{} by {}\">\n",
            self.height,
            escape(y_label),
            escape(x_label)
        );
        let base = self.height - BOTTOM;
        for y in even(self.y) {
            let at = number(self.up(y), 1);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\"/>\
                 <text class=\"tick end\" x=\"{}\" y=\"{at}\" dy=\".32em\">{}</text>\n",
                WIDTH - RIGHT,
                LEFT - 8.0,
                number(y, 2)
            ));
        }
        for &x in xs {
            let at = number(self.across(x), 1);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{at}\" x2=\"{at}\" y1=\"{TOP}\" y2=\"{base}\"/>\
                 <text class=\"tick mid\" x=\"{at}\" y=\"{}\">{x}</text>\n",
                base + 18.0
            ));
        }
        svg.push_str(&format!(
            "<text class=\"label mid\" x=\"{}\" y=\"{}\">{}</text>\n",
            (LEFT + WIDTH - RIGHT) / 2.0,
            self.height - 6.0,
            escape(x_label)
        ));
        svg
    }
}

/// Quality against latency: one point a configuration, on a logarithmic x axis,
/// with its interval as a whisker.
pub(super) fn scatter(points: &[Point], x_label: &str, y_label: &str) -> String {
    let frame = Frame {
        height: 340.0,
        x: wide(points.iter().map(|point| point.x)),
        y: padded(points.iter().flat_map(|point| [point.low, point.high])),
    };
    let ticks: Vec<f64> = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
        .iter()
        .flat_map(|step| [1.0, 10.0, 100.0, 1000.0].map(|power| step * power))
        .chain([0.01, 0.02, 0.05])
        .filter(|x| (frame.x.0..=frame.x.1).contains(x))
        .map(|x| (x * 1000.0).round() / 1000.0)
        .collect();
    let mut ticks = ticks;
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let mut svg = frame.axes(&ticks, x_label, y_label);
    let labels = places(points, &frame);
    // Many names cover each other; numbers stand in for them, and a table says
    // whose they are.
    let numbered = points.len() > MOST_NAMES;
    for (at, (point, label)) in points.iter().zip(labels).enumerate() {
        let shown = match numbered {
            true => (at + 1).to_string(),
            false => point.name.clone(),
        };
        let (x, y) = (frame.across(point.x), frame.up(point.y));
        let (low, high) = (frame.up(point.low), frame.up(point.high));
        let right = x > WIDTH * 0.72;
        let (anchor, shift) = if right {
            ("end", -10.0)
        } else {
            ("start", 10.0)
        };
        svg.push_str(&format!(
            "<g class=\"{colour}\"><title>{name}: {value} ({a} to {b}), {ms} ms</title>\
             <line class=\"whisker\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>\
             <line class=\"leader\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{lx:.1}\" y2=\"{label:.1}\"/>\
             <text class=\"name {anchor}\" x=\"{lx:.1}\" y=\"{label:.1}\" dy=\".32em\">{shown}</text></g>\n",
            colour = colour(at),
            shown = escape(&shown),
            name = escape(&point.name),
            value = number(point.y, 4),
            a = number(point.low, 3),
            b = number(point.high, 3),
            ms = number(point.x, 1),
            radius = if point.chosen { 7 } else { 5 },
            lx = x + shift,
        ));
    }
    svg + "</svg>\n"
}

/// Heights of the points' names: alongside them, or moved until none covers
/// another.
fn places(points: &[Point], frame: &Frame) -> Vec<f64> {
    const APART: f64 = 15.0;
    let near = if points.len() > MOST_NAMES {
        34.0
    } else {
        170.0
    };
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let height = |at: usize| frame.up(points[at].y);
        height(a).total_cmp(&height(b)).then(a.cmp(&b))
    });
    let mut placed: Vec<(f64, f64)> = Vec::new();
    let mut heights = vec![0.0; points.len()];
    for at in order {
        let x = frame.across(points[at].x);
        let mut y = frame.up(points[at].y);
        // Sorted from above: only names above can be in the way.
        while let Some(above) = placed
            .iter()
            .filter(|(other, above)| (other - x).abs() < near && (above - y).abs() < APART - 0.1)
            .map(|(_, above)| *above)
            .reduce(f64::max)
        {
            y = above + APART;
        }
        placed.push((x, y));
        heights[at] = y;
    }
    heights
}

/// Lines over depths, on a logarithmic x axis.
pub(super) fn lines(lines: &[Line], x_label: &str, y_label: &str) -> String {
    let depths = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let mut ticks: Vec<f64> = depths.clone().collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let frame = Frame {
        height: 320.0,
        x: (1.0, depths.fold(2.0, f64::max)),
        y: padded(values),
    };
    let mut svg = frame.axes(&ticks, x_label, y_label);
    for (at, line) in lines.iter().enumerate() {
        let path: Vec<String> = line
            .points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", frame.across(*x), frame.up(*y)))
            .collect();
        svg.push_str(&format!(
            "<g class=\"{}\"><polyline points=\"{}\"/>",
            colour(at),
            path.join(" ")
        ));
        for (x, y) in &line.points {
            svg.push_str(&format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}: {} at {x}</title></circle>",
                frame.across(*x),
                frame.up(*y),
                escape(&line.name),
                number(*y, 4)
            ));
        }
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

/// How the parts of a bar are coloured.
#[derive(Clone, Copy)]
pub(super) enum Palette {
    /// Each part is another thing.
    Things,
    /// From good to bad.
    Grades,
}

impl Palette {
    fn class(self, at: usize) -> String {
        match self {
            Self::Things => colour(at),
            Self::Grades => format!("r{}", at.min(4)),
        }
    }
}

/// Bars side by side in rows, each of parts in one order; `unit` follows the
/// numbers, and all bars share one scale.
pub(super) fn bars(
    bars: &[Bar],
    parts: &[String],
    palette: Palette,
    digits: usize,
    unit: &str,
) -> String {
    const ROW: f64 = 34.0;
    const NAMES: f64 = 130.0;
    let height = bars.len() as f64 * ROW + 8.0;
    let most = bars
        .iter()
        .map(|bar| bar.parts.iter().sum::<f64>())
        .fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let scale = (WIDTH - NAMES - 70.0) / most;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n");
    for (row, bar) in bars.iter().enumerate() {
        let y = row as f64 * ROW + 6.0;
        svg.push_str(&format!(
            "<text class=\"name end\" x=\"{}\" y=\"{}\" dy=\".32em\">{}</text>",
            NAMES - 10.0,
            y + 11.0,
            escape(&bar.name)
        ));
        let mut x = NAMES;
        for (at, value) in bar.parts.iter().enumerate() {
            let width = value * scale;
            if width <= 0.0 {
                continue;
            }
            let name = parts.get(at).map_or("", String::as_str);
            svg.push_str(&format!(
                "<g class=\"{}\"><rect x=\"{x:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"22\" rx=\"2\">\
                 <title>{}: {}{unit}</title></rect>",
                palette.class(at),
                (width - 1.0).max(0.6),
                escape(name),
                number(*value, digits)
            ));
            if width > 34.0 {
                svg.push_str(&format!(
                    "<text class=\"inside mid\" x=\"{:.1}\" y=\"{}\" dy=\".32em\">{}</text>",
                    x + width / 2.0,
                    y + 11.0,
                    number(*value, digits)
                ));
            }
            svg.push_str("</g>");
            x += width;
        }
        let sum: f64 = bar.parts.iter().sum();
        svg.push_str(&format!(
            "<text class=\"tick start\" x=\"{:.1}\" y=\"{}\" dy=\".32em\">{}{unit}</text>\n",
            x + 6.0,
            y + 11.0,
            number(sum, digits)
        ));
    }
    svg + "</svg>\n"
}

/// What the colours mean.
pub(super) fn legend(names: &[String], palette: Palette) -> String {
    let entry = |(at, name): (usize, &String)| {
        format!(
            "<span class=\"{}\"><i></i>{}</span>",
            palette.class(at),
            escape(name)
        )
    };
    let entries: Vec<String> = names.iter().enumerate().map(entry).collect();
    format!("<p class=\"legend\">{}</p>\n", entries.join(" "))
}

/// The range of `values` with room around it, within 0 to 1 where they are.
fn padded(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return (0.0, 1.0);
    }
    let room = ((high - low) * 0.1).max(0.01);
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let ceiling = if high <= 1.0 { 1.0 } else { f64::INFINITY };
    ((low - room).max(floor), (high + room).min(ceiling))
}

/// The same for a logarithmic axis.
fn wide(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min).max(0.01);
    let high = values.fold(0.02, f64::max);
    (low / 1.6, high.max(low * 1.5) * 1.6)
}

/// About five round values of a range.
fn even((low, high): (f64, f64)) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|step| *step >= raw)
        .unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    (first..)
        .map(|times| times as f64 * step)
        .take_while(|value| *value <= high + step * 1e-6)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            even((0.0, 1.0)),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert!(even((0.61, 0.78)).iter().all(|y| (0.61..=0.78).contains(y)));
        assert_eq!(padded([].into_iter()), (0.0, 1.0));
    }

    #[test]
    fn names_of_points_do_not_cover_each_other() {
        let point = |y: f64| Point {
            name: "x".into(),
            x: 10.0,
            y,
            low: y - 0.1,
            high: y + 0.1,
            chosen: false,
        };
        let points = [point(0.5), point(0.501), point(0.499), point(0.9)];
        let frame = Frame {
            height: 340.0,
            x: (1.0, 100.0),
            y: (0.0, 1.0),
        };
        let mut heights = places(&points, &frame);
        heights.sort_by(f64::total_cmp);
        assert!(
            heights.windows(2).all(|pair| pair[1] - pair[0] > 14.0),
            "{heights:?}"
        );
    }
}
