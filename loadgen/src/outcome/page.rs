//! Results as one HTML page that needs nothing else: inline style, inline SVG, no script.
//!
//! Pure; called by `loadgen report`. A plot that has nothing to show is left out: rate against p99 needs a
//! run with several rates.

use super::plot::{Chart, Scale, Series, escape, svg};
use super::result::{Interval, ResultFile, Run};
use super::table;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem}
body{color:#1a1a1a;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
pre,code{font:13px/1.45 ui-monospace,monospace}pre{overflow-x:auto;background:#f6f6f6;padding:.8rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:1rem}
svg{width:100%;height:auto;border:1px solid #ddd;background:#fff}
svg .title{font-size:15px;font-weight:600}svg .mark{font-size:12px;fill:#444}
svg .grid{stroke:#e6e6e6;stroke-width:1}svg polyline{fill:none;stroke-width:1.8}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{color:#555}dd{margin:0}";

/// The page of some results.
pub(crate) fn page(files: &[ResultFile]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>loadgen report</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>loadgen report</h1>\n"
    );
    out.push_str(&format!("<pre>{}</pre>\n", escape(&table::table(files))));
    out.push_str("<div class=\"plots\">\n");
    for chart in charts(files) {
        out.push_str(&svg(&chart));
    }
    out.push_str("</div>\n");
    for file in files {
        out.push_str(&section(file));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn section(file: &ResultFile) -> String {
    let seconds: f64 = file.runs.iter().map(|run| run.seconds).sum();
    let rows = [
        ("command", format!("<code>{}</code>", escape(&file.command))),
        ("server", format!("{} at {}", escape(&file.peer), escape(&file.target))),
        ("machine", escape(&file.machine)),
        (
            "started",
            String::from_utf8_lossy(&http1::format_http_date(file.started_unix_ms / 1000)).into_owned(),
        ),
        ("measured", format!("{seconds:.0} s in runs: {}", file.runs.len())),
        ("loadgen", escape(&file.loadgen)),
    ];
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
    let notes = escape(&table::notes(file));
    format!(
        "<h2>{} ({})</h2>\n<dl>\n{rows}</dl>\n<pre>{notes}</pre>\n",
        escape(&file.name),
        escape(&file.peer)
    )
}

/// Every run with its name in a legend.
fn named_runs(files: &[ResultFile]) -> Vec<(String, &Run)> {
    let name = |file: &ResultFile, run: &Run| match run.offered_per_s {
        Some(rate) => format!("{} ({}) at {rate:.0}/s", file.name, file.peer),
        None => format!("{} ({})", file.name, file.peer),
    };
    files.iter().flat_map(|file| file.runs.iter().map(move |run| (name(file, run), run))).collect()
}

fn charts(files: &[ResultFile]) -> Vec<Chart<'static>> {
    let runs = named_runs(files);
    let over_time = |value: fn(&Interval) -> Option<f64>| {
        let series = runs.iter().map(|(name, run)| Series {
            name: name.clone(),
            points: run.timeline.iter().filter_map(|at| Some((at.at_s, value(at)?))).collect(),
        });
        series.filter(|series| !series.points.is_empty()).collect::<Vec<_>>()
    };
    let time = |title: &'static str, y_label: &'static str, y_scale: Scale, series: Vec<Series>| Chart {
        title,
        x_label: "seconds since the warm-up",
        y_label,
        x_scale: Scale::Linear,
        y_scale,
        series,
    };
    let mut all = vec![
        time(
            "Throughput over time",
            "events per second",
            Scale::Linear,
            over_time(|at| Some(at.events_per_s)),
        ),
        by_percentile(&runs),
        rate_against_p99(files),
        time("p99 of each interval", "p99", Scale::Time, over_time(|at| Some(at.p99_us))),
        time("Server processor time", "processors", Scale::Linear, over_time(|at| at.server_cpu)),
        time("Client processor time", "processors", Scale::Linear, over_time(|at| at.client_cpu)),
        time("Server memory", "MiB", Scale::Linear, over_time(resident_mib)),
    ];
    all.retain(|chart| chart.series.iter().any(|series| !series.points.is_empty()));
    all
}

fn resident_mib(at: &Interval) -> Option<f64> {
    at.server_resident_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
}

fn by_percentile(runs: &[(String, &Run)]) -> Chart<'static> {
    let series = runs.iter().map(|(name, run)| Series { name: name.clone(), points: run.curve.clone() });
    Chart {
        title: "Latency by percentile",
        x_label: "percent of the requests",
        y_label: "latency",
        x_scale: Scale::Nines,
        y_scale: Scale::Time,
        series: series.collect(),
    }
}

/// For results with several rates: what p99 was at each achieved rate.
fn rate_against_p99(files: &[ResultFile]) -> Chart<'static> {
    let swept =
        files.iter().filter(|file| file.runs.iter().filter(|run| run.offered_per_s.is_some()).count() > 1);
    let series = swept.map(|file| {
        let mut points: Vec<(f64, f64)> =
            file.runs.iter().map(|run| (run.events_per_s, run.latency.p99_us)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name: format!("{} ({})", file.name, file.peer), points }
    });
    Chart {
        title: "Rate against p99",
        x_label: "achieved events per second",
        y_label: "p99",
        x_scale: Scale::Linear,
        y_scale: Scale::Time,
        series: series.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::tests::example;

    #[test]
    fn a_page_needs_nothing_else_and_shows_every_plot_that_has_points() {
        let page = page(&[example()]);
        for title in
            ["Throughput over time", "Latency by percentile", "Rate against p99", "p99 of each interval"]
        {
            assert!(page.contains(title), "{title}");
        }
        assert!(!page.contains("Server memory</text>"), "nothing is known of it");
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
        assert!(page.contains("a &lt;name&gt; &amp; more") && !page.contains("<name>"));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    }

    #[test]
    fn one_rate_alone_makes_no_curve_of_rates() {
        let mut file = example();
        file.runs.truncate(1);
        assert!(!page(&[file]).contains("Rate against p99"));
    }
}
