//! A take: one recording by ffmpeg, with flashes and beeps at the instants of one common time line.

use std::fmt::Write as _;

use super::instants::{MARGIN, Rate, instants};

/// Seconds of a flash: three pictures at 25 per second.
const FLASH: f64 = 0.12;

/// A flash is meant from this on, seconds before its picture: times are rounded.
const EARLY: f64 = 0.005;

/// Seconds of a beep.
pub(super) const BEEP: f64 = 0.08;

/// A stream's place in the take, seconds.
type Span = (f64, f64);

/// The picture of a take.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    codec: &'static str,
    size: (u32, u32),
    rate: Rate,
    span: Span,
    /// No pictures come between these instants: the last one stands.
    still: Option<Span>,
}

/// A sound track of a take.
#[derive(Debug, Clone)]
pub(super) struct Sound {
    codec: &'static str,
    rate: u32,
    layout: &'static str,
    frequency: u32,
    span: Span,
    language: &'static str,
    /// Seconds by which the decoder is late where the container says nothing of it.
    delay: f64,
}

impl Sound {
    /// 1000 Hz as long as the take.
    pub(super) fn new(codec: &'static str, rate: u32, layout: &'static str) -> Self {
        let span = (0.0, f64::INFINITY);
        Self { codec, rate, layout, frequency: 1000, span, language: "und", delay: 0.0 }
    }

    /// Another pitch of the beeps.
    pub(super) fn frequency(mut self, frequency: u32) -> Self {
        self.frequency = frequency;
        self
    }

    /// Starts and ends elsewhere.
    pub(super) fn span(mut self, from: f64, until: f64) -> Self {
        self.span = (from, until);
        self
    }

    /// The language that the container names.
    pub(super) fn language(mut self, language: &'static str) -> Self {
        self.language = language;
        self
    }

    /// Plays earlier by what the decoder adds.
    pub(super) fn delay(mut self, seconds: f64) -> Self {
        self.delay = seconds;
        self
    }
}

/// One run of ffmpeg.
#[derive(Debug, Clone)]
pub(super) struct Take {
    /// Suffix of the file.
    pub(super) container: &'static str,
    /// Start on the common time line in seconds.
    begin: f64,
    seconds: f64,
    picture: Picture,
    sounds: Vec<Sound>,
    arguments: Vec<String>,
    /// Own instants instead of the common ones.
    instants: Option<Vec<f64>>,
}

impl Take {
    /// H.264 and stereo AAC, 25 pictures per second.
    pub(super) fn new(container: &'static str, seconds: f64) -> Self {
        let picture = Picture {
            codec: "libx264",
            size: (320, 180),
            rate: Rate(25, 1),
            span: (0.0, seconds),
            still: None,
        };
        let sounds = vec![Sound::new("aac", 48_000, "stereo")];
        let (arguments, instants) = (Vec::new(), None);
        Self { container, begin: 0.0, seconds, picture, sounds, arguments, instants }
    }

    /// Begins elsewhere on the common time line.
    pub(super) fn begin(mut self, at: f64) -> Self {
        self.begin = at;
        self
    }

    /// Another picture codec.
    pub(super) fn codec(mut self, codec: &'static str) -> Self {
        self.picture.codec = codec;
        self
    }

    /// Another size of the picture.
    pub(super) fn size(mut self, width: u32, height: u32) -> Self {
        self.picture.size = (width, height);
        self
    }

    /// Another number of pictures per second.
    pub(super) fn rate(mut self, numerator: u32, denominator: u32) -> Self {
        self.picture.rate = Rate(numerator, denominator);
        self
    }

    /// The picture starts and ends elsewhere.
    pub(super) fn picture(mut self, from: f64, until: f64) -> Self {
        self.picture.span = (from, until);
        self
    }

    /// The picture stands still between two instants: no pictures come.
    pub(super) fn still(mut self, from: f64, until: f64) -> Self {
        self.picture.still = Some((from, until));
        self
    }

    /// Other sound.
    pub(super) fn sounds(mut self, sounds: Vec<Sound>) -> Self {
        self.sounds = sounds;
        self
    }

    /// More arguments for the output, such as flags of the muxer.
    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Flashes and beeps only at these instants.
    pub(super) fn at(mut self, instants: &[f64]) -> Self {
        self.instants = Some(instants.to_vec());
        self
    }

    /// End on the common time line.
    pub(super) fn end(&self) -> f64 {
        self.begin + self.seconds
    }

    /// Hertz of every sound track.
    pub(super) fn frequencies(&self) -> Vec<f64> {
        self.sounds.iter().map(|sound| f64::from(sound.frequency)).collect()
    }

    /// Instants of the take, seconds after its beginning: well inside of every stream that is there.
    fn local(&self) -> Vec<f64> {
        if let Some(own) = &self.instants {
            return own.clone();
        }
        let mut edges: Vec<f64> = vec![0.0, self.seconds];
        let spans = self.sounds.iter().map(|sound| sound.span).chain([self.picture.span]);
        edges.extend(spans.chain(self.picture.still).flat_map(|(from, until)| [from, until]));
        let common = instants(self.end()).into_iter().filter(|at| *at >= self.begin);
        let local = common.map(|at| self.picture.rate.snap(at - self.begin));
        local.filter(|at| edges.iter().all(|edge| (at - edge).abs() > MARGIN)).collect()
    }

    /// Flashes on the common time line.
    pub(super) fn flashes(&self) -> Vec<f64> {
        let (from, until) = self.picture.span;
        let shown = |at: &f64| {
            let still = self.picture.still.is_some_and(|(from, until)| (from..until).contains(at));
            (from..until).contains(at) && !still
        };
        self.local().into_iter().filter(shown).map(|at| at + self.begin).collect()
    }

    /// Beeps of a sound track on the common time line.
    pub(super) fn beeps(&self, track: usize) -> Vec<f64> {
        let Some(sound) = self.sounds.get(track) else { return Vec::new() };
        let (from, until) = sound.span;
        let heard = self.local().into_iter().filter(|at| (from..until).contains(at));
        heard.map(|at| at + self.begin).collect()
    }

    /// Arguments for ffmpeg, without the file name.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut words = Words::default();
        let (from, _) = self.picture.span;
        words.add(&["-itsoffset", &from.to_string(), "-f", "lavfi", "-i", &self.pictures()]);
        for sound in &self.sounds {
            let from = sound.span.0.to_string();
            words.add(&["-itsoffset", &from, "-f", "lavfi", "-i", &self.samples(sound)]);
        }
        words.add(&["-map", "0:v", "-c:v", self.picture.codec]);
        words.add(picture_options(self.picture.codec));
        words.add(&["-fps_mode", "passthrough"]);
        for (index, sound) in self.sounds.iter().enumerate() {
            words.add(&["-map", &format!("{}:a", index + 1)]);
            words.add(&[&format!("-c:a:{index}"), sound.codec]);
            words
                .add(&[&format!("-metadata:s:a:{index}"), &format!("language={}", sound.language)]);
        }
        words.add(&["-strict", "-2"]);
        words.0.extend(self.arguments.iter().cloned());
        words.0
    }

    /// The graph of the picture: a moving dark pattern, white at the instants.
    fn pictures(&self) -> String {
        let Picture { size: (width, height), rate, span: (from, until), still, .. } = &self.picture;
        let seconds = until - from;
        let mut graph = format!(
            "testsrc2=s={width}x{height}:r={}/{}:d={seconds},lutyuv=y=val/3,format=yuv420p",
            rate.0, rate.1
        );
        let on = windows(&self.local(), *from, FLASH, (rate.picture() / 4.0).min(EARLY));
        let fill = "drawbox=x=0:y=0:w=iw:h=ih:color=white:t=fill";
        let _written = write!(graph, ",{fill}:enable='{on}'");
        if let Some((still, moves)) = still {
            let (still, moves) = (still - from - 0.001, moves - from - 0.001);
            let _written = write!(graph, ",select='lt(t,{still:.4})+gte(t,{moves:.4})'");
        }
        graph
    }

    /// The graph of a sound track: silence, and a tone at the instants.
    fn samples(&self, sound: &Sound) -> String {
        let (from, until) = sound.span;
        let seconds = until.min(self.seconds) - from;
        let on = windows(&self.local(), from + sound.delay, BEEP, 0.0);
        let tone = format!("0.4*sin(2*PI*{}*t)*({on})", sound.frequency);
        let rate = sound.rate;
        let spread = match sound.layout {
            // As many channels as field recorders write, without places of loudspeakers.
            "12" => "asplit=12,amerge=inputs=12".to_owned(),
            layout => format!("aformat=channel_layouts={layout}"),
        };
        format!("aevalsrc='{tone}':s={rate}:d={seconds}:c=mono,{spread}")
    }
}

/// An expression of `t` that is 1 within `seconds` of each instant, and from `early` seconds before it.
fn windows(instants: &[f64], origin: f64, seconds: f64, early: f64) -> String {
    let window = |at: &f64| {
        let from = at - origin - early;
        format!("gte(t,{from:.6})*lt(t,{:.6})", from + seconds)
    };
    let windows: Vec<String> = instants.iter().map(window).collect();
    if windows.is_empty() { "0".to_owned() } else { windows.join("+") }
}

/// Speed before quality, and a key picture every two seconds.
fn picture_options(codec: &str) -> &'static [&'static str] {
    match codec {
        "libx264" => &["-preset", "ultrafast", "-g", "50", "-bf", "2", "-sc_threshold", "0"],
        "libx265" => &["-preset", "ultrafast", "-x265-params", "log-level=error:keyint=50"],
        "libvpx" | "libvpx-vp9" => &["-deadline", "realtime", "-cpu-used", "8", "-g", "50"],
        _ => &["-q:v", "4", "-g", "50"],
    }
}

/// Arguments.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|&word| word.to_owned()));
    }
}

#[test]
fn streams_that_start_elsewhere_have_the_instants_inside_of_them() {
    let late = vec![Sound::new("aac", 48_000, "mono").span(3.0, f64::INFINITY)];
    let take = Take::new("mp4", 10.0).begin(20.0).sounds(late);
    let (flashes, beeps) = (take.flashes(), take.beeps(0));
    assert!(flashes.iter().all(|at| (20.0..30.0).contains(at)), "{flashes:?}");
    assert!(beeps.iter().all(|at| (23.0..30.0).contains(at)), "{beeps:?}");
    assert!(beeps.iter().all(|at| flashes.contains(at)) && beeps.len() < flashes.len());
    assert!(take.flashes().len() > 5 && beeps.len() > 4, "{flashes:?} {beeps:?}");
}
