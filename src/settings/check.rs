//! Checks the settings. The first wrong value is reported with its key.

use std::collections::BTreeSet;

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::plan::h264;
use jetreel_domain::plan::ladder::Rung;
use jetreel_domain::plan::x264;

use super::{Scheme, Settings, SettingsError};

/// Smaller parts make the part list of a large upload unwieldy.
const PART_BYTES_MIN: usize = 1 << 20;
/// On some stores a gateway holds one part per connection in memory.
const PART_BYTES_MAX: usize = 64 << 20;
/// Most retries. The broker delivers a message at most fifty times, and a claim remembers sixteen attempts.
const RETRIES_MAX: usize = 15;
/// Most node processes on the machine of a scaler.
const LOCAL_NODES_MAX: u32 = 64;
/// Largest rate factor of x264 with 8 bits.
const CRF_MAX: u32 = 51;

/// Largest wall-clock budget of a probe in seconds.
const PROBE_SECONDS_MAX: f64 = 900.0;

fn ensure(holds: bool, key: &str, problem: impl Into<String>) -> Result<(), SettingsError> {
    if holds {
        return Ok(());
    }
    Err(SettingsError::Invalid { key: key.to_owned(), problem: problem.into() })
}

impl Settings {
    /// Checks every value that has bounds, and the relations between values.
    ///
    /// # Errors
    /// Names the first wrong key and the allowed values.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.check_store()?;
        self.check_node()?;
        self.rules()?;
        self.offer()?;
        self.check_http()?;
        self.check_limits()?;
        self.check_retry()?;
        self.check_hook()?;
        self.check_telemetry()?;
        self.check_reconciler()?;
        self.check_cost()?;
        self.check_scaler()?;
        self.check_plan()?;
        self.check_ladder()
    }

    fn check_store(&self) -> Result<(), SettingsError> {
        let store = &self.store;
        match store.scheme {
            Scheme::Fs => ensure(!store.root.is_empty(), "store.root", "it must name a folder")?,
            Scheme::S3 => ensure(!store.bucket.is_empty(), "store.bucket", "s3 needs a bucket")?,
        }
        let both = store.access_key.is_empty() == store.secret_key.is_empty();
        ensure(
            both,
            "store.secret-key",
            "give both store.access-key and store.secret-key, or neither",
        )?;
        let part = self.http.part_bytes;
        let fits = (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part);
        let bounds = format!("{part} is not within {PART_BYTES_MIN} and {PART_BYTES_MAX}");
        ensure(fits, "http.part-bytes", bounds)
    }

    fn check_node(&self) -> Result<(), SettingsError> {
        let replicas = self.nats.replicas;
        let odd = [1, 3, 5].contains(&replicas);
        ensure(odd, "nats.replicas", format!("{replicas} is not 1, 3 or 5"))?;
        ensure(self.node.slots <= 1024, "node.slots", "more than 1024 is a mistake")?;
        let (reserved, slots) = (self.node.reserved_high, self.node.slots_here());
        let text = format!("it must be below node.slots, which is {slots}");
        ensure(reserved == 0 || reserved < slots, "node.reserved-high", text)?;
        for (group, most) in &self.node.group_slots.0 {
            let key = format!("node.group-slots.{group}");
            ensure(*most <= 1024, &key, "more than 1024 is a mistake; 0 is no limit")?;
        }
        let threads = self.node.task_threads;
        ensure(threads <= 1024, "node.task-threads", "more than 1024 is a mistake")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = self.node.name.as_deref().unwrap_or_default();
        let valid = name.len() <= 64 && name.chars().all(plain);
        ensure(valid, "node.name", "use up to 64 of a-z, 0-9, '-', '_' and '.'")?;
        let poll = (1..=3600).contains(&self.node.drain_poll_seconds);
        ensure(poll, "node.drain-poll-seconds", "it must be within 1 and 3600")?;
        let listen = self.http.admin_listen;
        let apart = listen.is_none_or(|admin| admin.port() == 0 || admin != self.http.listen);
        ensure(apart, "http.admin-listen", "it is the same address as http.listen")
    }

    fn check_http(&self) -> Result<(), SettingsError> {
        let http = &self.http;
        for (key, seconds) in [
            ("http.head-seconds", http.head_seconds),
            ("http.keep-alive-seconds", http.keep_alive_seconds),
            ("http.body-idle-seconds", http.body_idle_seconds),
            ("http.write-stall-seconds", http.write_stall_seconds),
        ] {
            ensure((1..=3600).contains(&seconds), key, "it must be within 1 and 3600")?;
        }
        ensure(http.body_rate_min <= 1 << 20, "http.body-rate-min", "1048576 is the most")
    }

    fn check_retry(&self) -> Result<(), SettingsError> {
        let retry = &self.retry;
        let jitter = (0.0..=1.0).contains(&retry.jitter);
        ensure(jitter, "retry.jitter", "it is a share, from 0 to 1")?;
        for stage in Stage::ALL {
            let retries = retry.of(stage).len();
            let most = format!("{retries} retries are more than {RETRIES_MAX}");
            ensure(retries <= RETRIES_MAX, &format!("retry.{stage}"), most)?;
        }
        ensure(retry.sweep_seconds > 0, "retry.sweep-seconds", "it must be above 0")
    }

    fn check_hook(&self) -> Result<(), SettingsError> {
        let web = |url: &reqwest::Url| ["http", "https"].contains(&url.scheme());
        let callable = self.hook.url.as_ref().is_none_or(web);
        ensure(callable, "hook.url", "it must begin with http:// or https://")
    }

    fn check_telemetry(&self) -> Result<(), SettingsError> {
        let telemetry = &self.telemetry;
        let web = |url: &reqwest::Url| ["http", "https"].contains(&url.scheme());
        let callable = telemetry.otlp_endpoint.as_ref().is_none_or(web);
        ensure(callable, "telemetry.otlp-endpoint", "it must begin with http:// or https://")?;
        let share = (0.0..=1.0).contains(&telemetry.sample_ratio);
        ensure(share, "telemetry.sample-ratio", "it is a share, from 0 to 1")
    }

    fn check_limits(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        for (key, value) in [
            ("limits.pixels-max", limits.pixels_max),
            ("limits.streams-max", u64::from(limits.streams_max)),
            ("limits.frames-max", limits.frames_max),
            ("limits.upload-bytes-max", limits.upload_bytes_max),
        ] {
            ensure(value > 0, key, "it must be above 0")?;
        }
        for (key, value) in [
            ("limits.seconds-max", limits.seconds_max),
            ("limits.gap-seconds-max", limits.gap_seconds_max),
            ("limits.frame-rate-max", limits.frame_rate_max),
        ] {
            ensure(value.is_finite() && value > 0.0, key, "it must be above 0")?;
        }
        Ok(())
    }

    fn check_reconciler(&self) -> Result<(), SettingsError> {
        let policy = &self.reconciler;
        ensure(policy.pass_seconds > 0, "reconciler.pass-seconds", "it must be above 0")?;
        let pass = i64::try_from(policy.pass_seconds).unwrap_or(i64::MAX);
        let several = pass.checked_mul(2).is_some_and(|two| policy.lease_seconds > two);
        let problem = "it must be above twice reconciler.pass-seconds";
        ensure(several, "reconciler.lease-seconds", problem)?;
        for (key, value) in [
            ("reconciler.patience-seconds", policy.patience_seconds),
            ("reconciler.doubt-seconds", policy.doubt_seconds),
            ("reconciler.receiving-seconds-max", policy.receiving_seconds_max),
            ("reconciler.cancelled-seconds", policy.cancelled_seconds),
            ("reconciler.orphan-seconds", policy.orphan_seconds),
            ("reconciler.sweep-seconds", policy.sweep_seconds),
        ] {
            ensure(value >= 0, key, "it must not be below 0")?;
        }
        let heard = policy.pass_seconds.checked_mul(4).is_some_and(|n| policy.build_seconds >= n);
        let problem = "it must be at least four times reconciler.pass-seconds";
        ensure(heard, "reconciler.build-seconds", problem)?;
        let waits = self.retry.of(Stage::Ingest).iter().max().copied().unwrap_or_default();
        let waits = waits.mul_f64(1.0 + self.retry.jitter).as_secs_f64();
        let longer = policy.doubt_seconds as f64 >= waits + PROBE_SECONDS_MAX;
        let problem = "it must be longer than a wait of retry.ingest and 15 minutes together";
        ensure(longer, "reconciler.doubt-seconds", problem)?;
        let pages = (1..=10_000).contains(&policy.objects_per_pass);
        ensure(pages, "reconciler.objects-per-pass", "it must be within 1 and 10000")
    }

    fn check_cost(&self) -> Result<(), SettingsError> {
        let prices = &self.cost;
        for (key, price) in [
            ("cost.vcpu-hour", prices.vcpu_hour),
            ("cost.stored-gb-month", prices.stored_gb_month),
            ("cost.out-gb", prices.out_gb),
        ] {
            ensure(price.is_finite() && price >= 0.0, key, "it must not be below 0")?;
        }
        let short = prices.currency.chars().count() <= 8;
        ensure(short, "cost.currency", "8 characters are the most")
    }

    fn check_scaler(&self) -> Result<(), SettingsError> {
        let scaler = &self.scaler;
        scaler.policy().check().map_err(|wrong| SettingsError::Invalid {
            key: format!("scaler.{}", wrong.key),
            problem: wrong.problem.to_owned(),
        })?;
        let seconds = (1..=600).contains(&scaler.hook_seconds);
        ensure(seconds, "scaler.hook-seconds", "it must be within 1 and 600")?;
        let local = &scaler.local;
        ensure(local.max <= LOCAL_NODES_MAX, "scaler.local.max", "more than 64 is a mistake")?;
        let ordered = local.min <= local.max;
        ensure(ordered, "scaler.local.min", "it must not be above scaler.local.max")?;
        let folder = local.max == 0 || !local.folder.as_os_str().is_empty();
        ensure(folder, "scaler.local.folder", "it must name a folder")
    }

    fn check_plan(&self) -> Result<(), SettingsError> {
        let plan = &self.plan;
        let ascending = [
            ("plan.gop-seconds", plan.gop_seconds),
            ("plan.segment-seconds", plan.segment_seconds),
            ("plan.chunk-seconds-min", plan.chunk_seconds_min),
            ("plan.chunk-seconds-target", plan.chunk_seconds_target),
            ("plan.chunk-seconds-max", plan.chunk_seconds_max),
        ];
        ensure(
            plan.gop_seconds >= 0.5,
            "plan.gop-seconds",
            "below 0.5 s most bits are key pictures",
        )?;
        for pair in ascending.windows(2) {
            let [(below, low), (key, high)] = pair else { continue };
            ensure(high >= low, key, format!("it must not be below {below} ({low})"))?;
        }
        ensure(plan.chunk_seconds_max <= 120.0, "plan.chunk-seconds-max", "120 is the most")?;
        ensure(plan.first_seconds_min >= 1.0, "plan.first-seconds-min", "1 is the least")?;
        let first = plan.first_seconds_max >= plan.first_seconds_min;
        ensure(first, "plan.first-seconds-max", "it must not be below plan.first-seconds-min")?;
        let names = x264::PRESETS.map(|preset| preset.name);
        let preset = names.contains(&plan.preset.as_str());
        ensure(
            preset,
            "plan.preset",
            format!("{:?} is not a preset; use one of {}", plan.preset, names.join(", ")),
        )?;
        let rate = (32_000..=512_000).contains(&plan.audio_bit_rate);
        ensure(rate, "plan.audio-bit-rate", "it must be within 32000 and 512000")?;
        let part = (5..=600).contains(&plan.audio_part_seconds);
        ensure(part, "plan.audio-part-seconds", "it must be within 5 and 600")?;
        let thumbnail = (0.5..=3600.0).contains(&plan.thumbnail_seconds);
        ensure(thumbnail, "plan.thumbnail-seconds", "it must be within 0.5 and 3600")?;
        for tier in plan.tiers.iter().flatten() {
            let known = plan.ladder.iter().any(|rung| rung.name == *tier);
            let names: Vec<&str> = plan.ladder.iter().map(|rung| rung.name.as_str()).collect();
            let problem = format!("the ladder has no {tier:?}; it has {}", names.join(", "));
            ensure(known, "plan.tiers", problem)?;
        }
        Ok(())
    }

    fn check_ladder(&self) -> Result<(), SettingsError> {
        let ladder = &self.plan.ladder;
        ensure(!ladder.is_empty(), "plan.ladder", "it has no rung")?;
        ensure(ladder.len() <= 12, "plan.ladder", "12 rungs are the most")?;
        let names: BTreeSet<&str> = ladder.iter().map(|rung| rung.name.as_str()).collect();
        ensure(names.len() == ladder.len(), "plan.ladder", "two rungs have the same name")?;
        ladder.iter().try_for_each(check_rung)
    }
}

fn check_rung(rung: &Rung) -> Result<(), SettingsError> {
    let key = |field: &str| format!("plan.ladder ({}).{field}", rung.name);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let named = (1..=16).contains(&rung.name.len()) && rung.name.bytes().all(plain);
    ensure(named, &key("name"), "use 1 to 16 characters of a-z and 0-9")?;
    let side = (64..=8192).contains(&rung.short_side) && rung.short_side.is_multiple_of(2);
    ensure(side, &key("short-side"), "it must be even and within 64 and 8192")?;
    ensure(rung.crf <= CRF_MAX, &key("crf"), format!("{CRF_MAX} is the most"))?;
    ensure(rung.max_rate_kbps >= 32, &key("max-rate-kbps"), "32 is the least")?;
    let high = rung.max_rate_high_kbps >= rung.max_rate_kbps;
    ensure(high, &key("max-rate-high-kbps"), "it must not be below max-rate-kbps")?;
    ensure(h264::is_level(rung.level), &key("level"), "no such H.264 level (31 is 3.1)")?;
    ensure(h264::is_level(rung.level_high), &key("level-high"), "no such H.264 level (31 is 3.1)")?;
    let rate = (1..=240).contains(&rung.max_frame_rate);
    ensure(rate, &key("max-frame-rate"), "it must be within 1 and 240")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn problem(key: &str, value: &str) -> String {
        let overrides = vec![(key.to_owned(), value.to_owned())];
        let sources = Sources { overrides, no_usual_places: true, ..Sources::default() };
        Settings::load(&sources).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        for (key, value) in [
            ("store.scheme", "ftp"),
            ("store.root", ""),
            ("store.access-key", "half"),
            ("store.sources", "raw/"),
            ("http.listen", "nowhere"),
            ("http.part-bytes", "7"),
            ("http.public-names", "https://videos.example.com"),
            ("http.keep-alive-seconds", "0"),
            ("http.body-rate-min", "2000000"),
            ("nats.replicas", "2"),
            ("node.name", "a b"),
            ("node.reserved-high", "100000"),
            ("node.group-slots.main", "100000"),
            ("node.labels", "gpu,Big Memory"),
            ("node.hours", "at night"),
            ("node.time-zone", "Europe/Berln"),
            ("groups.main.needs", "big memory"),
            ("groups.main.hours", "08:00-08:00"),
            ("groups.mian.needs", "gpu"),
            ("lanes.low.hours", "mon-fry 08:00-09:00"),
            ("lanes.low.first-seconds-always", "sometimes"),
            ("lanes.lower.hours", "08:00-09:00"),
            ("hours.time-zone", ""),
            ("hook.url", "ftp://pager"),
            ("telemetry.otlp-endpoint", "localhost:4317"),
            ("telemetry.sample-ratio", "1.5"),
            ("node.roles", "cook"),
            ("node.roles", "fanout"),
            ("node.roles", "encode,fanout"),
            ("retry.publish", "soon"),
            ("retry.encode", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"),
            ("retry.jitter", "2"),
            ("codec.confinement", "some"),
            ("limits.gap-seconds-max", "0"),
            ("reconciler.pass-seconds", "0"),
            ("reconciler.lease-seconds", "20"),
            ("reconciler.orphan-seconds", "-1"),
            ("reconciler.doubt-seconds", "2000"),
            ("reconciler.build-seconds", "39"),
            ("cost.vcpu-hour", "-1"),
            ("cost.out-gb", "nan"),
            ("cost.currency", "pieces of eight"),
            ("scaler.nodes-min", "11"),
            ("scaler.nodes-max", "0"),
            ("scaler.hysteresis", "1"),
            ("scaler.target-drain-seconds", "0"),
            ("scaler.cooldown-seconds", "-1"),
            ("scaler.hook", "ftp://cloud"),
            ("scaler.hook-seconds", "0"),
            ("scaler.local.max", "65"),
            ("scaler.local.min", "1"),
            ("plan.preset", "quick"),
            ("plan.segment-seconds", "1"),
            ("plan.chunk-seconds-min", "3"),
        ] {
            let text = problem(key, value);
            let named = if key == "store.access-key" { "store.secret-key" } else { key };
            assert!(text.contains(named), "{key}={value}: {text}");
        }
    }
}
