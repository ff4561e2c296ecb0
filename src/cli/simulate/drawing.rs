//! Draws a simulation as SVG: backlog, nodes and videos over time.

use std::fmt::Write as _;

use jetreel_domain::scale::simulation::Sample;

use crate::cli::spell;

/// Pixels of the drawing, and of each panel in it.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 50.0;
/// Most ticks of an axis.
const TICKS_MAX: f64 = 8.0;

const STYLE: &str = "\
svg{background:#fff;font:13px system-ui,sans-serif}
text{fill:#333}.title{font-size:15px;font-weight:600}.grid{stroke:#ddd}
.line{fill:none;stroke-width:2}.a{stroke:#2563eb}.b{stroke:#d97706;stroke-dasharray:5 3}.c{stroke:#dc2626}
text.a{fill:#2563eb;stroke:none}text.b{fill:#b45309;stroke:none}text.c{fill:#dc2626;stroke:none}
@media(prefers-color-scheme:dark){svg{background:#111}text{fill:#ddd}.grid{stroke:#333}}";

/// A line of a panel: its name, its class in the style, and its value of a sample.
type Line = (&'static str, &'static str, fn(&Sample) -> f64);

const PANELS: [(&str, &[Line]); 3] = [
    ("backlog in encode hours", &[("unfinished", "a", |s| s.backlog_encode_seconds / 3600.0)]),
    (
        "nodes",
        &[
            ("working", "a", |s| f64::from(s.nodes_working)),
            ("wanted", "b", |s| f64::from(s.nodes_wanted)),
            ("draining", "c", |s| f64::from(s.nodes_draining)),
        ],
    ),
    (
        "videos",
        &[
            ("not complete", "a", |s| s.videos_open as f64),
            ("nothing begun", "c", |s| s.videos_waiting as f64),
        ],
    ),
];

/// The drawing.
pub(super) fn svg(title: &str, samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |sample| sample.seconds).max(1.0);
    let height = TOP + PANELS.len() as f64 * (PANEL + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<title>{0}</title>\n<text class=\"title\" x=\"{LEFT}\" y=\"24\">{0}</text>\n",
        escaped(title)
    );
    for (index, (name, lines)) in PANELS.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP);
        out.push_str(&panel((name, lines), samples, top, end));
    }
    out.push_str("</svg>\n");
    out
}

fn panel((name, lines): (&str, &[Line]), samples: &[Sample], top: f64, end: f64) -> String {
    let values = lines.iter().flat_map(|(_, _, of)| samples.iter().map(of));
    let most = values.fold(0.0, f64::max).max(1.0);
    let step = round_step(most / 4.0);
    let most = (most / step).ceil() * step;
    let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL - value / most * PANEL;
    let mut out = String::new();
    let mut put = |text: String| out.push_str(&text);
    put(format!("<text x=\"{LEFT}\" y=\"{}\">{name}</text>\n", top - 8.0));
    let mut at = 0.0;
    while at <= most + step / 2.0 {
        let (y, text) = (y(at), spell::number(at, 2));
        let (right, before, below) = (WIDTH - RIGHT, LEFT - 8.0, y + 4.0);
        put(format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{before}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>\n"
        ));
        at += step;
    }
    let every = time_step(end);
    let mut at = 0.0;
    while at <= end {
        let (x, y, text) = (x(at), top + PANEL + 18.0, clock(at));
        put(format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>\n"));
        at += every;
    }
    for (place, (name, class, of)) in lines.iter().enumerate() {
        let mut points = String::new();
        let mut last: Option<f64> = None;
        for sample in samples {
            let (x, y) = (x(sample.seconds), y(of(sample)));
            // Steps: a number holds until the next sample.
            if let Some(last) = last.filter(|last| (last - y).abs() > 0.05) {
                put_point(&mut points, x, last);
            }
            put_point(&mut points, x, y);
            last = Some(y);
        }
        put(format!("<polyline class=\"line {class}\" points=\"{points}\"/>\n"));
        let (x, y) = (WIDTH - RIGHT - 110.0 * (lines.len() - 1 - place) as f64, top - 8.0);
        put(format!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{name}</text>\n"
        ));
    }
    out
}

fn put_point(points: &mut String, x: f64, y: f64) {
    // Writing into a text does not fail.
    if write!(points, "{x:.1},{y:.1} ").is_err() {
        points.clear();
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= step * 0.999);
    times.unwrap_or(10.0) * power
}

/// Seconds between two marks of the time axis.
fn time_step(end: f64) -> f64 {
    let minutes = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 1440.0, 10_080.0];
    let fits = |minutes: &f64| end / (minutes * 60.0) <= TICKS_MAX;
    minutes.into_iter().find(fits).unwrap_or(43_200.0) * 60.0
}

fn clock(seconds: f64) -> String {
    if seconds > 0.0 { spell::duration(seconds) } else { "0".to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: f64, nodes: u32) -> Sample {
        Sample {
            seconds,
            nodes_working: nodes,
            nodes_starting: 0,
            nodes_draining: 0,
            nodes_wanted: nodes,
            slots_busy: 0,
            backlog_encode_seconds: 36_000.0,
            videos_open: 500,
            videos_waiting: 20,
        }
    }

    #[test]
    fn a_drawing_has_a_line_for_every_number_within_its_panel() {
        let svg = svg("a <b> & c", &[sample(0.0, 1), sample(1800.0, 37)]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt;b&gt; &amp; c") && !svg.contains("<b>"));
        assert_eq!(svg.matches("<polyline").count(), 6);
        for points in svg.split("points=\"").skip(1) {
            for point in points.split('"').next().unwrap().split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{point}");
                assert!((TOP..=TOP + 3.0 * (PANEL + GAP)).contains(&y), "{point}");
            }
        }
    }

    #[test]
    fn axes_have_round_steps() {
        assert_eq!([0.3, 1.0, 3.0, 7.0, 12.0].map(round_step), [0.5, 1.0, 5.0, 10.0, 20.0]);
        assert_eq!([400.0, 1800.0, 86_400.0].map(time_step), [60.0, 300.0, 14_400.0]);
    }
}
