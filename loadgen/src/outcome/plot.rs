//! Line charts as inline SVG, without any script or style from elsewhere.
//!
//! Pure: points in, text out. Law: any finite points give a chart whose coordinates lie inside it; points
//! that are not finite, or not positive on an axis of times, are left out.

use std::fmt::Write;

/// How an axis maps values to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0 up, evenly.
    Linear,
    /// Microseconds by powers of ten, marked as 100 us, 1 ms.
    Time,
    /// Percentiles: 90, 99, 99.9 … at equal distances.
    Nines,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: String,
    /// Its points, by x.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart<'a> {
    /// The headline.
    pub(crate) title: &'a str,
    /// What x is, with its unit.
    pub(crate) x_label: &'a str,
    /// What y is, with its unit.
    pub(crate) y_label: &'a str,
    /// How x is mapped.
    pub(crate) x_scale: Scale,
    /// How y is mapped.
    pub(crate) y_scale: Scale,
    /// The lines.
    pub(crate) series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Colours that people with a colour blindness can tell apart (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d00"];
/// Names stand below the plot, in so many columns.
const LEGEND_COLUMNS: usize = 2;
const LEGEND_LINE: f64 = 17.0;
/// A percentile of 100 stands where 99.9999 would.
const NINES_MAX: f64 = 6.0;
/// Larger values are left out like those that are not finite.
const VALUE_MAX: f64 = 1e300;

/// A value's place on its scale, before it is stretched; `None` if it has none.
fn place(scale: Scale, value: f64) -> Option<f64> {
    let place = match scale {
        Scale::Linear => value,
        Scale::Time if value > 0.0 => value.log10(),
        Scale::Time => return None,
        Scale::Nines => -((1.0 - value / 100.0).max(10f64.powf(-NINES_MAX))).log10(),
    };
    // Room for an axis that ends at a round number behind it.
    (value.abs() < VALUE_MAX).then_some(place)
}

/// An axis: the places of its ends, and its marks.
struct Axis {
    low: f64,
    high: f64,
    marks: Vec<(f64, String)>,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Axis {
        let places: Vec<f64> = values.filter_map(|value| place(scale, value)).collect();
        let low = places.iter().copied().fold(f64::INFINITY, f64::min);
        let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        match scale {
            Scale::Linear => linear(high),
            Scale::Time => times(low, high),
            Scale::Nines => nines(high),
        }
    }

    fn fraction(&self, place: f64) -> f64 {
        ((place - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// From 0 in steps of 1, 2 or 5 times a power of ten, about six of them.
fn linear(high: f64) -> Axis {
    let high = if high > 0.0 { high } else { 1.0 };
    let rough = high / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    let count = (high / step).ceil().max(1.0) as usize;
    let marks = (0..=count).map(|index| index as f64 * step).map(|value| (value, short(value))).collect();
    Axis { low: 0.0, high: count as f64 * step, marks }
}

fn times(low: f64, high: f64) -> Axis {
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let marks = (low as i32..=high as i32).map(|power| (f64::from(power), time(power))).collect();
    Axis { low, high, marks }
}

/// Ten to the power of so many microseconds in few letters.
fn time(power: i32) -> String {
    let (unit_power, unit) = match power {
        ..=-1 => (-3, "ns"),
        0..=2 => (0, "us"),
        3..=5 => (3, "ms"),
        6.. => (6, "s"),
    };
    format!("{} {unit}", short(10f64.powi(power - unit_power)))
}

fn nines(high: f64) -> Axis {
    let high = high.ceil().clamp(2.0, NINES_MAX);
    let names = ["0", "90", "99", "99.9", "99.99", "99.999", "100"];
    let marks = names.iter().enumerate().map(|(index, name)| (index as f64, (*name).to_owned()));
    Axis { low: 0.0, high, marks: marks.take(high as usize + 1).collect() }
}

/// A number in few letters: 1500 is 1.5k.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A text as it stands in HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The chart as one `<svg>` element.
pub(crate) fn svg(chart: &Chart<'_>) -> String {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let x_axis = Axis::new(chart.x_scale, points().map(|point| point.0));
    let y_axis = Axis::new(chart.y_scale, points().map(|point| point.1));
    let height = HEIGHT + LEGEND_LINE * chart.series.len().div_ceil(LEGEND_COLUMNS) as f64;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>\n",
        title = escape(chart.title)
    );
    write_axes(chart, &x_axis, &y_axis, &mut out);
    for (index, series) in chart.series.iter().enumerate() {
        write_series(chart, series, index, (&x_axis, &y_axis), &mut out);
    }
    write_legend(chart, &mut out);
    out.push_str("</svg>\n");
    out
}

fn x_of(fraction: f64) -> f64 {
    LEFT + fraction * (WIDTH - LEFT - RIGHT)
}

fn y_of(fraction: f64) -> f64 {
    HEIGHT - BOTTOM - fraction * (HEIGHT - TOP - BOTTOM)
}

fn write_axes(chart: &Chart<'_>, x_axis: &Axis, y_axis: &Axis, out: &mut String) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (at, name) in &y_axis.marks {
        let y = y_of(y_axis.fraction(*at));
        let (x, text_y) = (LEFT - 8.0, y + 4.0);
        push(out, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        push(
            out,
            format_args!(
                "<text class=\"mark\" x=\"{x}\" y=\"{text_y:.1}\" text-anchor=\"end\">{name}</text>"
            ),
        );
    }
    for (at, name) in &x_axis.marks {
        let x = x_of(x_axis.fraction(*at));
        let y = bottom + 16.0;
        push(out, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
        push(
            out,
            format_args!("<text class=\"mark\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>"),
        );
    }
    let (middle, below) = (x_of(0.5), HEIGHT - 10.0);
    let x_label = escape(chart.x_label);
    push(
        out,
        format_args!(
            "<text class=\"mark\" x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{x_label}</text>"
        ),
    );
    let (y_label, centre) = (escape(chart.y_label), y_of(0.5));
    let turned = format!("transform=\"translate(14 {centre:.1}) rotate(-90)\" text-anchor=\"middle\"");
    push(out, format_args!("<text class=\"mark\" {turned}>{y_label}</text>"));
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{line}");
}

fn write_series(chart: &Chart<'_>, series: &Series, index: usize, axes: (&Axis, &Axis), out: &mut String) {
    let colour = COLOURS[index % COLOURS.len()];
    let places = series.points.iter().filter_map(|(x, y)| {
        let (x, y) = (place(chart.x_scale, *x)?, place(chart.y_scale, *y)?);
        Some((x_of(axes.0.fraction(x)), y_of(axes.1.fraction(y))))
    });
    let places: Vec<(f64, f64)> = places.collect();
    let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    push(out, format_args!("<polyline points=\"{}\" style=\"{}\"/>", line.join(" "), stroke(index)));
    // Dots only where they can be told apart.
    if places.len() <= 40 {
        for (x, y) in places {
            push(
                out,
                format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" style=\"fill:{colour}\"/>"),
            );
        }
    }
}

/// How a line is drawn: a colour, and dashes from the second round of colours on.
fn stroke(index: usize) -> String {
    let dashes = ["", ";stroke-dasharray:7 3", ";stroke-dasharray:2 3"];
    let round = (index / COLOURS.len()) % dashes.len();
    format!("stroke:{}{}", COLOURS[index % COLOURS.len()], dashes[round])
}

fn write_legend(chart: &Chart<'_>, out: &mut String) {
    for (index, series) in chart.series.iter().enumerate() {
        let (column, line) = (index % LEGEND_COLUMNS, index / LEGEND_COLUMNS);
        let x = LEFT + column as f64 * (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS as f64;
        let y = HEIGHT + 2.0 + LEGEND_LINE * line as f64;
        let (stroke, name) = (stroke(index), escape(&series.name));
        push(out, format_args!("<path d=\"M{x} {y}h18\" style=\"{stroke};stroke-width:2.5\"/>"));
        push(out, format_args!("<text class=\"mark\" x=\"{}\" y=\"{}\">{name}</text>", x + 24.0, y + 4.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chart(points: Vec<(f64, f64)>, x_scale: Scale, y_scale: Scale) -> String {
        let series = vec![Series { name: "a < b".to_owned(), points }];
        svg(&Chart { title: "t & u", x_label: "x", y_label: "y", x_scale, y_scale, series })
    }

    proptest! {
        #[test]
        fn every_point_lies_inside_the_chart(
            points in prop::collection::vec((-1e12..1e12f64, any::<f64>()), 0..20), which in 0..9usize,
        ) {
            let scales = [Scale::Linear, Scale::Time, Scale::Nines];
            let text = chart(points, scales[which % 3], scales[which / 3]);
            let line = text.lines().find_map(|line| line.strip_prefix("<polyline points=\""));
            let line = line.expect("a line");
            let line = line.split('"').next().expect("it ends");
            for number in line.split([' ', ',']).filter(|number| !number.is_empty()) {
                let number: f64 = number.parse().expect("a number");
                prop_assert!((0.0..=WIDTH).contains(&number), "{number}");
            }
            prop_assert!(!text.contains("NaN") && !text.contains("inf"));
        }
    }

    #[test]
    fn texts_of_users_are_escaped() {
        let text = chart(vec![(1.0, 2.0)], Scale::Linear, Scale::Linear);
        assert!(text.contains("a &lt; b") && text.contains("t &amp; u") && !text.contains("a < b"));
    }

    #[test]
    fn marks_are_round_numbers_in_few_letters() {
        let names = |axis: Axis| axis.marks.into_iter().map(|mark| mark.1).collect::<Vec<_>>().join(" ");
        assert_eq!(names(linear(11_500.0)), "0 2k 4k 6k 8k 10k 12k");
        assert_eq!(names(times(1.3, 3.2)), "10 us 100 us 1 ms 10 ms");
        assert_eq!([-1, 0, 5, 6, 8].map(time), ["100 ns", "1 us", "100 ms", "1 s", "100 s"]);
        assert_eq!(names(nines(2.5)), "0 90 99 99.9");
        assert_eq!([0.25, 1500.0, 2e6].map(short), ["0.25", "1.5k", "2M"]);
    }
}
