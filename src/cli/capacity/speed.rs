//! From what the speed of a slot is known.

use std::path::Path;

use super::Upload;
use crate::cli::client::Server;
use crate::cli::exit::{Exit, told};
use crate::cli::{cost, local, plan, spell, transcode};
use crate::settings::Settings;

/// Encode seconds that a slot does in a second.
pub(super) struct Speed {
    pub(super) value: f64,
    /// How it was found, as a sentence.
    pub(super) source: String,
}

impl Speed {
    /// The speed as given, or the one that the planner's estimates assume.
    pub(super) fn given(speed: Option<f64>) -> Self {
        let value = speed.unwrap_or(1.0);
        let source = match speed {
            Some(_) => format!("A busy slot does {value} encode seconds in a second, as given."),
            None => "A busy slot does one encode second in a second, as on the machine of the planner's estimates. Measure yours with --measure FILE.".to_owned(),
        };
        Self { value, source }
    }
}

/// Transcodes a file here, and compares its CPU time with its plan.
pub(super) async fn measured(file: &Path, settings: &Settings) -> anyhow::Result<Speed> {
    let path = local::input(file)?;
    let plan = plan::plan(&path, settings).await?.map_err(|failure| {
        told(Exit::Refused, format!("{} [{}]", failure.message, failure.code))
    })?;
    let planned: f64 = plan.tasks.iter().map(|task| task.cost).sum();
    let made = transcode::measured(path, settings.clone()).await?;
    let cpu = made.cpu_seconds();
    let value = planned / cpu.max(f64::MIN_POSITIVE);
    let source = format!(
        "{} of {} took {cpu:.1} s of CPU time on this machine with {} slots busy, and was planned as {planned:.1} encode seconds: speed {value:.2}. A busy slot has a core for itself.",
        spell::duration(plan.seconds()),
        file.display(),
        settings.node.slots_here()
    );
    Ok(Speed { value, source })
}

/// The CPU time of a video that a server has done, for uploads of another length in proportion.
pub(super) async fn like(
    server: &Server,
    id: &str,
    length: Option<f64>,
    settings: &Settings,
) -> anyhow::Result<(Upload, Speed)> {
    let (cost, _) = cost::fetch(server, id, settings).await?;
    if !cost.is_complete() || cost.source_seconds <= 0.0 || cost.cpu_seconds <= 0.0 {
        let text =
            format!("{id} is not complete, so its cost is not known; name a completed video");
        return Err(told(Exit::Failed, text));
    }
    let seconds = length.unwrap_or(cost.source_seconds);
    let upload = Upload {
        encode_seconds: cost.cpu_seconds * seconds / cost.source_seconds,
        source: format!(
            "An upload is {} like {id}, which took {:.1} s of CPU time for {} of video.",
            spell::duration(seconds),
            cost.cpu_seconds,
            spell::duration(cost.source_seconds)
        ),
    };
    let source = "A busy slot has a core for itself, on nodes like those that made that video.";
    Ok((upload, Speed { value: 1.0, source: source.to_owned() }))
}
